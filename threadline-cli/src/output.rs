//! Where results and failures go.

use std::io::{self, IsTerminal, Write};

use anstream::AutoStream;
use serde::Serialize;

use crate::failure::Failure;
use crate::render::style::{BAD, HINT};
use crate::render::{drives_terminal, plain};

/// How wide a line may be where there is no terminal to ask.
const WIDTH: usize = 100;

/// Prints results as text or as JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// One result: its JSON document, or its text.
    pub(crate) fn result<T: Serialize>(self, document: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let text = if self.json { json(document)? } else { text(document) };
        write(&text).map(|_| ())
    }

    /// One of many results, written as it comes: the text before it, its JSON or its text. False when nobody reads on.
    pub(crate) fn entry<T: Serialize>(
        self,
        before: &str,
        entry: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<bool, Failure> {
        let text = if self.json { json(entry)? } else { text(entry) };
        write(&format!("{before}{text}"))
    }

    /// Text between or around results, when they are JSON. False when nobody reads on.
    pub(crate) fn frame(self, text: &str) -> Result<bool, Failure> {
        if self.json { write(text) } else { Ok(true) }
    }

    /// A remark beside the result. Programs that read JSON need none.
    pub(crate) fn remark(self, text: &str) {
        if !self.json {
            complain(&format!("{HINT}{}{HINT:#}\n", plain(text)));
        }
    }

    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            #[derive(Serialize)]
            struct Document<'a> {
                error: &'a Failure,
            }
            if let Ok(text) = json(&Document { error: &failure.scrubbed() }) {
                complain(&text);
            }
            return;
        }
        let (message, remedy) = failure.texts();
        let mut text = format!("{BAD}error{BAD:#}: {}\n", plain(&message));
        if let Some(remedy) = remedy {
            text.push_str(&format!("{HINT}help{HINT:#}: {}\n", plain(&remedy)));
        }
        complain(&text);
    }
}

/// Writes to the standard output; false when the reader has seen enough, as `head` does.
fn write(text: &str) -> Result<bool, Failure> {
    let mut stdout = AutoStream::auto(io::stdout().lock());
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed("output", format!("cannot write the result: {error}"))),
    }
}

pub(crate) fn json(document: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string(document)
        .map_err(|error| Failure::failed("output", format!("cannot write the result as JSON: {error}")))?;
    text = escaped(&text);
    text.push('\n');
    Ok(text)
}

/// The same document, should somebody look at it on a terminal: JSON leaves some control characters as they are.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if drives_terminal(character) {
            // All of them are in the first plane, and inside a JSON string.
            text.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
}

fn complain(text: &str) {
    // There is nobody left to tell when stderr is closed.
    let _ = AutoStream::auto(io::stderr().lock()).write_all(text.as_bytes());
}

/// How wide a line may be.
pub(crate) fn width() -> usize {
    let terminal = io::stdout().is_terminal();
    terminal.then(terminal_size::terminal_size).flatten().map_or(WIDTH, |(width, _)| usize::from(width.0).max(40))
}
