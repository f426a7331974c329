//! Real Java Dubbo programs of three lines, calling each other through Spanwire; and
//! real gRPC programs, in [`http`].
//!
//! What a caller sees must be what it sees without the mesh; where the mesh must
//! answer itself, Java must understand it; and what dies may take no call with it
//! that could still be answered. `docs/java.md` tells operators what these tests
//! hold.
//!
//! Other real programs: nginx, haproxy, Node.js and curl for plain HTTP, WebSocket and
//! gRPC-Web, in [`web`]; Connect's conformance suite, in [`conformance`]; and for protocols
//! that Spanwire passes on unread, `mariadb`.

mod calls;
mod command_line;
mod conformance;
mod faults;
mod fixture;
mod http;
mod idle;
mod mariadb;
mod pointing;
mod registry;
mod rules;
mod triple;
mod web;
mod zookeeper;
