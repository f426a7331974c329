//! `spanwire control`, from start to signal.

use std::net::TcpListener;

use super::running::{Running, get};
use super::*;

#[test]
fn it_serves_until_sigterm_and_starts_again_on_its_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("store");
    let data = data.to_str().expect("UTF-8");
    for _ in 0..2 {
        let mut control = Running::start(&["control", "--listen", "127.0.0.1:0", "--data", data]);
        let address = control.logged("embedded store serves", "address");
        assert!(get(&address, "/version").contains("\"etcdserver\""));
        control.signal("TERM");
        assert_eq!(control.status(), Some(0));
    }
}

#[test]
fn a_taken_address_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("UTF-8");
    check(
        &["control", "--listen", &address, "--data", data],
        2,
        "",
        &format!(
            "error: {address} cannot be listened on: Address already in use (os error 98)

hint: choose another address with --listen, or stop what listens there
"
        ),
    );
}
