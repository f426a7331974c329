//! Bytes of real Java (`testdata`), and what the Java libraries read in them.
#![allow(clippy::unwrap_used)]

mod check;
mod dubbo;
mod edit;
mod hessian2;
mod triple;
mod values;
mod vectors;
