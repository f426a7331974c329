//! spanwire
fn main() {}
