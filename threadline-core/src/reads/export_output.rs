//! Bytes on their way out, perhaps compressed.

use std::fmt;

use crate::Error;

/// What becomes of the text of an export.
pub(super) enum Output {
    Plain,
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
        Self::Plain
    }

    /// What to write now that there is this text.
    #[cfg_attr(not(feature = "gzip"), allow(clippy::unnecessary_wraps, reason = "only compressing can fail"))]
    pub(super) fn take(&mut self, text: String) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain => Ok(text.into_bytes()),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => {
                std::io::Write::write_all(encoder, text.as_bytes()).map_err(Error::output_failed)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// What to write after this text, the last.
    pub(super) fn finish(mut self, text: String) -> Result<Vec<u8>, Error> {
        let written = self.take(text)?;
        match self {
            Self::Plain => Ok(written),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => {
                let end = encoder.finish().map_err(Error::output_failed)?;
                Ok([written, end].concat())
            }
        }
    }
}
