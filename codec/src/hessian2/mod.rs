//! Hessian 2.0, the serialization most Dubbo and SOFA bodies are written in.
//!
//! * [`text`]: strings where they stand, in pieces and in Java's UTF-16 units.
//! * [`scalar`]: the scalar forms, borrowed from the bytes.
//! * [`mod@write`]: the forms, as Java writes them.
//! * [`skip`]: stepping over values without building them; what routing uses.
//! * [`decode`], [`encode`]: whole messages to and from [`crate::value::Value`].
//! * [`limits`]: how much one message may ask for.
//!
//! Wire forms follow the Hessian 2.0 specification and, where it and the
//! libraries differ, `Hessian2Input`/`Hessian2Output` of `hessian-lite`, which
//! is what Dubbo ships (4.0.3 in 3.3, an older one inside 2.7).

pub mod decode;
pub mod encode;
pub mod limits;
pub mod scalar;
pub mod skip;
pub mod text;
pub mod write;

pub use decode::Decoder;
pub use encode::Encoder;
pub use limits::Limits;
pub use skip::Skip;
pub use text::Text;
