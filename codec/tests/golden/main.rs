//! Bytes of real Java (`testdata`), and what the Java libraries read in them.
#![allow(clippy::unwrap_used)]

mod dubbo;
mod hessian2;
mod vectors;
