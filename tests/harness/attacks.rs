//! Requests that two servers could cut at different places: whoever gets one
//! through puts words into another caller's mouth.
//!
//! The list is that of RFC 9112, section 11, and of what is published about real
//! servers that disagreed. Each has a name that a failed test says.

/// What must never be taken as a request.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Requests that are refused by their head. HOST stands for a good host header.
pub const HEADS: [(&str, &str); 53] = [
    (
        "two lengths that differ",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
    ),
    ("two lengths in one", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0, 5\r\n\r\n"),
    (
        "a length and chunks",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks and a length",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    ("a negative length", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: -1\r\n\r\n"),
    ("a signed length", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: +0\r\n\r\n"),
    ("a length in hexadecimal", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0x0\r\n\r\n"),
    ("a length with a space inside", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 1 0\r\n\r\n"),
    ("a length with a fraction", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0.0\r\n\r\n"),
    ("a length with an underscore", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 1_0\r\n\r\n"),
    (
        "a length that overflows",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 18446744073709551616\r\n\r\n",
    ),
    ("an empty length", "POST / HTTP/1.1\r\nHOST\r\nContent-Length:\r\n\r\n"),
    ("a length in quotes", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: \"0\"\r\n\r\n"),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in two headers",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked and identity",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "identity",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "another coding",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding nobody knows",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked behind a comma",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked with a parameter",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked with a vertical tab",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked with a line feed before it",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding:\n chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in quotes",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    ("an empty coding", "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    (
        "chunks in HTTP/1.0",
        "POST / HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a space before a colon",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a tab before a colon", "POST / HTTP/1.1\r\nHOST\r\nContent-Length\t: 0\r\n\r\n"),
    (
        "a space before a header",
        "POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHOST\r\n\r\n0\r\n\r\n",
    ),
    ("a folded header", "POST / HTTP/1.1\r\nHOST\r\nX: a\r\n b\r\n\r\n"),
    (
        "a folded coding",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a header with a tab in front",
        "POST / HTTP/1.1\r\nHOST\r\nX: a\r\n\tContent-Length: 5\r\n\r\n",
    ),
    ("a bare line feed after the request line", "GET / HTTP/1.1\nHOST\r\n\r\n"),
    ("a bare line feed after a header", "GET / HTTP/1.1\r\nHOST\nX: a\r\n\r\n"),
    ("a bare line feed for the empty line", "GET / HTTP/1.1\r\nHOST\r\n\n"),
    ("bare line feeds only", "GET / HTTP/1.1\nHOST\n\n"),
    (
        "a bare carriage return in a header",
        "GET / HTTP/1.1\r\nHOST\r\nX: a\rContent-Length: 5\r\n\r\n",
    ),
    ("a bare carriage return in the request line", "GET /\r HTTP/1.1\r\nHOST\r\n\r\n"),
    ("two carriage returns", "GET / HTTP/1.1\r\nHOST\r\r\n\r\n"),
    ("a zero in a value", "GET / HTTP/1.1\r\nHOST\r\nX: a\0b\r\n\r\n"),
    ("a zero in a name", "GET / HTTP/1.1\r\nHOST\r\nX\0: a\r\n\r\n"),
    ("a header without a colon", "GET / HTTP/1.1\r\nHOST\r\nX\r\n\r\n"),
    ("a header without a name", "GET / HTTP/1.1\r\nHOST\r\n: a\r\n\r\n"),
    ("a name that is no token", "GET / HTTP/1.1\r\nHOST\r\nX(y): a\r\n\r\n"),
    ("a name that is no ASCII", "GET / HTTP/1.1\r\nHOST\r\nContent\u{ad}Length: 5\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHOST\r\nHost: other\r\n\r\n"),
    ("another version", "GET / HTTP/1.2\r\nHOST\r\n\r\n"),
    ("a version with a long number", "GET / HTTP/1.10\r\nHOST\r\n\r\n"),
    ("a version in small letters", "GET / http/1.1\r\nHOST\r\n\r\n"),
    ("two spaces in the request line", "GET  / HTTP/1.1\r\nHOST\r\n\r\n"),
    ("a tab in the request line", "GET\t/ HTTP/1.1\r\nHOST\r\n\r\n"),
    ("a space behind the version", "GET / HTTP/1.1 \r\nHOST\r\n\r\n"),
];

/// Bodies in chunks that are refused where they are read.
pub const BODIES: [(&str, &str); 17] = [
    ("a size with a sign", "+3\r\nabc\r\n0\r\n\r\n"),
    ("a size in two parts", "1 0\r\nabc\r\n0\r\n\r\n"),
    ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size with an underscore", "0_3\r\nabc\r\n0\r\n\r\n"),
    ("a size that overflows", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("a size that is none", "x\r\nabc\r\n0\r\n\r\n"),
    ("an empty size", "\r\nabc\r\n0\r\n\r\n"),
    ("a space before a size", " 3\r\nabc\r\n0\r\n\r\n"),
    ("a bare line feed behind a size", "3\nabc\r\n0\r\n\r\n"),
    ("a bare carriage return behind a size", "3\rabc\r\n0\r\n\r\n"),
    ("a bare line feed in an extension", "3;a\nabc\r\n0\r\n\r\n"),
    ("a bare carriage return in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("more than the size", "3\r\nabcd\r\n0\r\n\r\n"),
    ("less than the size", "5\r\nabc\r\n0\r\n\r\n"),
    ("a bare line feed behind a chunk", "3\r\nabc\n0\r\n\r\n"),
    ("a bare line feed behind the last one", "3\r\nabc\r\n0\n\r\n"),
    ("a folded trailer", "3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n"),
];
