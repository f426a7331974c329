//! Which serializations can be read.

use crate::error::DecodeError;

use super::header;

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serialization {
    /// Hessian 2.0 in hessian-lite's dialect; the default before 3.2.
    Hessian2,
    /// fastjson2's JSONB; what 3.2 and later prefer when both sides have it.
    Fastjson2,
    /// Another one, by its id: passed on, never read.
    Other(u8),
}

/// Ids and names (`org.apache.dubbo.common.serialize.Constants`).
const NAMES: [(u8, &str); 18] = [
    (2, "hessian2"),
    (3, "java"),
    (4, "compactedjava"),
    (6, "fastjson"),
    (7, "nativejava"),
    (8, "kryo"),
    (9, "fst"),
    (10, "native-hessian"),
    (11, "avro"),
    (12, "protostuff"),
    (16, "gson"),
    (18, "jackson"),
    (21, "protobuf-json"),
    (22, "protobuf"),
    (23, "fastjson2"),
    (25, "kryo2"),
    (27, "msgpack"),
    (28, "fury"),
];

impl Serialization {
    /// The serialization in a header's flags.
    pub fn of(flags: u8) -> Self {
        match flags & header::SERIALIZATION {
            2 => Serialization::Hessian2,
            23 => Serialization::Fastjson2,
            id => Serialization::Other(id),
        }
    }

    /// Its id on the wire.
    pub fn id(self) -> u8 {
        match self {
            Serialization::Hessian2 => 2,
            Serialization::Fastjson2 => 23,
            Serialization::Other(id) => id,
        }
    }

    /// Its name in Dubbo's configuration (`serialization=…`), where the id is a
    /// known one.
    pub fn name(self) -> &'static str {
        let id = self.id();
        NAMES.iter().find(|(known, _)| *known == id).map_or("unknown", |(_, name)| name)
    }

    /// The serialization of this name, where it is a known one.
    pub fn named(name: &[u8]) -> Option<Self> {
        let (id, _) = NAMES.iter().find(|(_, known)| known.as_bytes() == name)?;
        Some(Serialization::of(*id))
    }

    /// The error that says it cannot be read.
    pub fn opaque(self) -> DecodeError {
        DecodeError::Opaque { id: self.id(), name: self.name() }
    }
}
