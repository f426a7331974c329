//! What the tests share: the real programs that they run against, each started on
//! ports of its own, watched while it runs, and gone when the test is over; and the
//! [`attacks`] that more than one of them is put in front of.
//!
//! Not here: assertions, and anything that only one test needs.

pub mod attacks;
pub mod embedded;
pub mod etcd;
pub mod go;
pub mod java;
pub mod mariadb;
pub mod port;
pub mod spanwire;
pub mod web;
pub mod zookeeper;

mod process;

pub use process::wait_until;
