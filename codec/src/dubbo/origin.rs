//! What an answer needs to remember of a request.

use super::header::Header;
use super::serialization::Serialization;

/// What an answer needs to remember of a request whose bytes are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The caller's id for the request.
    pub id: u64,
    /// What the request's body was written in.
    pub serialization: Serialization,
}

impl Origin {
    /// The origin of the request whose fixed header is given.
    pub fn of(header: &[u8]) -> Origin {
        match Header::read(header) {
            Ok(header) => Origin { id: header.id, serialization: header.serialization() },
            Err(_) => Origin { id: 0, serialization: Serialization::Hessian2 },
        }
    }
}
