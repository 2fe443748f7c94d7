//! The heads of requests and answers (RFC 9112, sections 2 to 6).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::framing::{Framing, Malformed};
use super::settings::BaseUrl;

/// The most that the heads of an answer may have, with all that say only that it is coming.
const MAX_BYTES: usize = 64 * 1024;

/// The most headers of an answer.
const MAX_HEADERS: usize = 128;

/// A request as it is sent.
pub(super) fn request<'a>(
    method: &Method,
    url: &'a BaseUrl,
    path: &str,
    headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512 + body.len());
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| bytes.extend_from_slice(part));
    let target = url.join(path);
    put(&[
        method.as_str().as_bytes(),
        b" ",
        target.as_bytes(),
        b" HTTP/1.1\r\n",
    ]);
    let host = (&HOST, &url.authority);
    for (name, value) in std::iter::once(host).chain(headers) {
        put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    if *method != Method::GET {
        put(&[
            b"content-length: ",
            body.len().to_string().as_bytes(),
            b"\r\n",
        ]);
    }
    put(&[b"\r\n", body]);
    bytes
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether another request may follow on the connection.
    pub(super) keep_alive: bool,
}

/// Reads the head of an answer, if all of it has arrived, and says how many bytes it had.
/// Those that say only that the answer is coming (status 1xx) are read over.
pub(super) fn answer(arrived: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let mut read = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response
            .parse(&arrived[read..])
            .map_err(|_| Malformed(unreadable(&arrived[read..])))?;
        let (length, is_complete) = match parsed {
            httparse::Status::Complete(length) => (length, true),
            httparse::Status::Partial => (arrived.len() - read, false),
        };
        read += length;
        if read > MAX_BYTES {
            return Err(Malformed("the head of the answer is too long"));
        }
        if !is_complete {
            return Ok(None);
        }
        match response.code {
            Some(101) => return Err(Malformed("the server changes the protocol")),
            Some(100..=199) => {}
            _ => return Ok(Some((head(&response)?, read))),
        }
    }
}

/// What to say of what is no head.
const fn unreadable(arrived: &[u8]) -> &'static str {
    match arrived {
        [b'H', b'T', b'T', b'P', b'/', ..] => "the head of the answer cannot be read",
        // An alert or a handshake.
        [0x15 | 0x16, 3, ..] => "the server speaks TLS: its URL begins with https",
        _ => "the answer begins without HTTP/1.1",
    }
}

fn head(response: &httparse::Response<'_, '_>) -> Result<Head, Malformed> {
    const WRONG: Malformed = Malformed("the head of the answer cannot be read");
    let status = response.code.unwrap_or_default();
    let status = StatusCode::from_u16(status).map_err(|_| WRONG)?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for header in &*response.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| WRONG)?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| WRONG)?;
        headers.append(name, value);
    }
    let framing = framing(status, &headers)?;
    let says_close = listed(&headers, &CONNECTION).any(|word| word.eq_ignore_ascii_case("close"));
    Ok(Head {
        status,
        framing,
        keep_alive: response.version == Some(1)
            && !says_close
            && framing != Framing::UntilClose
            // Whoever sends both may mean either; the next answer might begin anywhere.
            && !(headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)),
        headers,
    })
}

fn framing(status: StatusCode, headers: &HeaderMap) -> Result<Framing, Malformed> {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::NONE);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        let mut codings = listed(headers, &TRANSFER_ENCODING);
        return match (codings.next(), codings.next()) {
            (Some(only), None) if only.eq_ignore_ascii_case("chunked") => Ok(Framing::CHUNKS),
            _ => Err(Malformed(
                "the answer has a transfer coding that is not known",
            )),
        };
    }
    let mut lengths = listed(headers, &CONTENT_LENGTH).map(|length| {
        // A sign is none of its digits, though numbers elsewhere may have one.
        let digits = length.bytes().all(|byte| byte.is_ascii_digit());
        length.parse::<u64>().ok().filter(|_| digits)
    });
    match lengths.next() {
        None => Ok(Framing::UntilClose),
        Some(first @ Some(length)) if lengths.all(|other| other == first) => {
            Ok(Framing::Length(length))
        }
        Some(_) => Err(Malformed("the answer has no length that can be read")),
    }
}

/// The members of a header that is a list, over all its lines.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    // What is no text is no member that we know.
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.to_str().unwrap_or("?").split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::super::any_cut;
    use super::*;
    use proptest::prelude::*;

    fn read(head: &str) -> Result<Option<(Head, usize)>, Malformed> {
        answer(head.as_bytes())
    }

    #[test]
    fn how_bodies_are_delimited_and_connections_kept() {
        use Framing::{Length, UntilClose};
        for (head, framing, keep_alive) in [
            ("1.1 200 OK\r\nContent-Length: 7", Length(7), true),
            (
                "1.1 200 OK\r\ncontent-length: 7, 7\r\nContent-Length: 7",
                Length(7),
                true,
            ),
            ("1.0 200 OK\r\nContent-Length: 7", Length(7), false),
            (
                "1.1 200 OK\r\nContent-Length: 7\r\nConnection: a, Close",
                Length(7),
                false,
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding: Chunked",
                Framing::CHUNKS,
                true,
            ),
            (
                "1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked",
                Framing::CHUNKS,
                false,
            ),
            ("1.1 200 OK\r\nA: b", UntilClose, false),
            ("1.1 204 None", Framing::NONE, true),
            ("1.1 304 None\r\nContent-Length: 7", Framing::NONE, true),
        ] {
            let (found, _) = read(&format!("HTTP/{head}\r\n\r\n")).unwrap().unwrap();
            assert_eq!(
                (found.framing, found.keep_alive),
                (framing, keep_alive),
                "{head}"
            );
        }
    }

    #[test]
    fn what_only_says_that_it_is_coming_is_read_over() {
        let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 429 Wait\r\nRetry-After: 5\r\n\r\nbody";
        for end in 0..head.len() - 4 {
            assert!(read(&head[..end]).unwrap().is_none(), "{end}");
        }
        let (found, length) = read(head).unwrap().unwrap();
        assert_eq!(found.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(found.headers["retry-after"], "5");
        assert_eq!(&head[length..], "body");
    }

    #[test]
    fn wrong_heads() {
        let said = |answer: &str| read(answer).unwrap_err().to_string();
        assert!(said("\u{15}\u{3}\u{1}").contains("https"));
        assert!(said("<!DOCTYPE HTML>").contains("without HTTP/1.1"));
        for wrong in [
            "SSH-2.0-OpenSSH",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(70_000)),
            &format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(70_000)),
            &"HTTP/1.1 100 Continue\r\n\r\n".repeat(3_000),
            &format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200)),
        ] {
            assert!(read(wrong).is_err(), "{wrong:.60?}");
        }
    }

    #[test]
    fn a_request_has_a_target_where_the_url_has_no_path() {
        let url = BaseUrl::parse("http://localhost").unwrap();
        for (path, line) in [("", "GET / HTTP/1.1"), ("?a=b", "GET /?a=b HTTP/1.1")] {
            let sent = request(&Method::GET, &url, path, HeaderMap::new().iter(), b"");
            assert!(sent.starts_with(line.as_bytes()));
        }
    }

    #[test]
    fn a_request() {
        let url = BaseUrl::parse("http://localhost:8000/v1/").unwrap();
        let headers: HeaderMap = [(
            http::header::ACCEPT,
            HeaderValue::from_static("text/event-stream"),
        )]
        .into_iter()
        .collect();
        assert_eq!(
            request(&Method::POST, &url, "/chat/completions", headers.iter(), b"{}"),
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost:8000\r\naccept: text/event-stream\r\ncontent-length: 2\r\n\r\n{}"
        );
        assert_eq!(
            request(&Method::GET, &url, "/models", HeaderMap::new().iter(), b""),
            b"GET /v1/models HTTP/1.1\r\nhost: localhost:8000\r\n\r\n"
        );
    }

    #[test]
    fn nor_in_the_seeds() {
        for seed in crate::seeds::of("http_answer") {
            let (sizes, answer) = crate::seeds::cuts::read(&seed);
            any_cut::changes_nothing(answer, &sizes);
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            before in prop::sample::select(vec!["", "HTTP/1.1 100 Continue\r\n\r\n"]),
            framing in prop::sample::select(vec!["", "Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"]),
            body in "([0-9a]{1,2}(;x=y|)\r\n|[a-c]{0,12}\r\n|0\r\n|\r\n){0,6}",
            sizes in prop::collection::vec(0_usize..40, 0..12),
        ) {
            let answer = format!("{before}HTTP/1.1 200 OK\r\n{framing}\r\n{body}");
            any_cut::changes_nothing(answer.as_bytes(), &sizes);
        }

        #[test]
        fn nor_in_garbage(bytes: Vec<u8>, sizes in prop::collection::vec(0_usize..40, 0..12)) {
            any_cut::changes_nothing(&bytes, &sizes);
        }
    }
}
