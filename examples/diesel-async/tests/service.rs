//! The service as a newcomer runs it: started by its one command, spoken to over HTTP.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_example-diesel-async"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.strip_prefix("The library is open at http://").unwrap().to_owned();
        // It must not block on what nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn request(&self, method: &str, path: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: library\r\nconnection: close\r\n{headers}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn post(&self, path: &str, user: &str) -> (u16, String) {
        self.request("POST", path, &format!("x-user: {user}\r\nx-request-id: r-{user}\r\ncontent-length: 0\r\n"))
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.request("GET", path, "");
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Closes it as a person does.
    fn stop(mut self) {
        self.process.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn the_library_tells_who_borrowed_what_and_what_it_was_before() {
    let service = Service::start();
    let (status, borrowed) = service.post("/books/1/borrow", "ada");
    assert_eq!(status, 200, "{borrowed}");
    let borrowed: Value = serde_json::from_str(&borrowed).unwrap();
    assert_eq!(borrowed["book"]["borrower"], "ada");
    assert!(borrowed["audit_transaction"].is_number());

    assert_eq!(service.post("/books/1/borrow", "grace"), (409, "the book is lent out\n".to_owned()));
    assert_eq!(service.post("/books/2/return", "grace").0, 409);
    assert_eq!(service.post("/books/3/borrow", "grace").0, 404);
    assert_eq!(service.request("POST", "/books/2/borrow", "content-length: 0\r\n").0, 401);
    assert_eq!(service.post("/books/1/return", "ada").0, 200);

    let (_, history) = service.get("/books/1/history");
    let told: Vec<_> = history.as_array().unwrap().iter().map(|event| (&event["who"], &event["what"])).collect();
    assert_eq!(told, [(&json!("user:ada"), &json!("book.returned")), (&json!("user:ada"), &json!("book.borrowed"))],);
    assert_eq!(history[0]["changed"], json!(["borrower"]));

    let lent_at = history[1]["at"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(service.get(&format!("/books/1?at={lent_at}")).1["borrower"], "ada");
    assert_eq!(service.get("/books/1").1["borrower"], Value::Null);
    assert_eq!(service.get("/books/1?at=2001-01-01T00:00:00Z").0, 404);
    service.stop();
}
