//! Which bytes may stand where in a head of HTTP/1.1 (RFC 9110, section 5; RFC 9112,
//! section 3). Not here: what heads say, see [`super::framing`].

/// Whether it can be a method or the name of a header (RFC 9110, section 5.6.2).
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && are_all(TOKEN, name)
}

/// May stand in a method or a header's name.
const TOKEN: u8 = 1;
/// May stand in a header's value.
pub(super) const VALUE: u8 = 2;
/// May stand in a request's target.
pub(super) const TARGET: u8 = 4;
/// May stand in the value of `Host`.
pub(super) const HOST: u8 = 8;

/// Where each byte may stand: every byte of every head is looked up once.
static PLACES: [u8; 256] = places();

const fn places() -> [u8; 256] {
    let mut places = [0; 256];
    let mut at = 0;
    while at < places.len() {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() || is_in(byte, b"!#$%&'*+-.^_`|~") {
            places[at] |= TOKEN;
        }
        if byte == b'\t' || byte >= b' ' && byte != 0x7f {
            places[at] |= VALUE;
        }
        if byte > b' ' && byte != 0x7f {
            places[at] |= TARGET;
        }
        if byte.is_ascii_graphic() && !is_in(byte, b",/@?#\\\"<>") {
            places[at] |= HOST;
        }
        at += 1;
    }
    places
}

const fn is_in(byte: u8, bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether all of them may stand in this place.
pub(super) fn are_all(place: u8, bytes: &[u8]) -> bool {
    bytes.iter().fold(place, |all, byte| all & PLACES[usize::from(*byte)]) != 0
}
