//! Bytes on their way out, perhaps compressed.

use std::fmt;

use crate::Error;

/// A buffer that is emptied from time to time.
pub(super) enum Output {
    Plain(Vec<u8>),
    #[cfg(feature = "gzip")]
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output(..)")
    }
}

impl Output {
    pub(super) fn new(gzip: bool) -> Self {
        #[cfg(feature = "gzip")]
        if gzip {
            return Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        }
        let _ = gzip;
        Self::Plain(Vec::new())
    }

    #[cfg_attr(not(feature = "gzip"), allow(clippy::unnecessary_wraps, reason = "only compressing can fail"))]
    pub(super) fn write(&mut self, text: &str) -> Result<(), Error> {
        match self {
            Self::Plain(buffer) => buffer.extend_from_slice(text.as_bytes()),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => std::io::Write::write_all(encoder, text.as_bytes()).map_err(Error::output_failed)?,
        }
        Ok(())
    }

    /// What there is so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(buffer) => std::mem::take(buffer),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => std::mem::take(encoder.get_mut()),
        }
    }

    #[cfg_attr(not(feature = "gzip"), allow(clippy::unnecessary_wraps, reason = "only compressing can fail"))]
    pub(super) fn finish(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain(buffer) => Ok(buffer),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.finish().map_err(Error::output_failed),
        }
    }
}
