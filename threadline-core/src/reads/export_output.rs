//! Bytes on their way out, perhaps compressed.

use std::fmt;

use super::export::Compression;
use crate::Error;

/// What becomes of the text of an export.
pub(super) enum Output {
    Plain,
    #[cfg(feature = "gzip")]
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output(..)")
    }
}

impl Output {
    pub(super) fn new(compression: Option<Compression>) -> Result<Self, Error> {
        match compression {
            None => Ok(Self::Plain),
            #[cfg(feature = "gzip")]
            Some(Compression::Gzip) => {
                Ok(Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast())))
            }
            #[cfg(feature = "zstd")]
            Some(Compression::Zstd) => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL);
                let mut encoder = encoder.map_err(Error::output_failed)?;
                // As gzip has one: damage is noticed.
                encoder.include_checksum(true).map_err(Error::output_failed)?;
                Ok(Self::Zstd(Box::new(encoder)))
            }
            #[cfg(not(any(feature = "gzip", feature = "zstd")))]
            Some(none) => match none {},
        }
    }

    /// What to write now that there is this text, perhaps nothing yet.
    pub(super) fn take(&mut self, text: String) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain => Ok(text.into_bytes()),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => {
                std::io::Write::write_all(encoder, text.as_bytes()).map_err(Error::output_failed)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => {
                std::io::Write::write_all(encoder, text.as_bytes()).map_err(Error::output_failed)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// What to write after this text, the last.
    pub(super) fn finish(mut self, text: String) -> Result<Vec<u8>, Error> {
        #[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_mut, reason = "nothing follows"))]
        let mut written = self.take(text)?;
        match self {
            Self::Plain => {}
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => written.extend(encoder.finish().map_err(Error::output_failed)?),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => written.extend(encoder.finish().map_err(Error::output_failed)?),
        }
        Ok(written)
    }
}
