//! A real ZooKeeper server on a free loopback port, with its data in a folder of
//! its own. What is in it is the business of Java, whose own client speaks to it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::port;
use crate::process::{Process, wait_until};

/// How long its start may take on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A running ZooKeeper. Killed when it is dropped.
#[derive(Debug)]
pub struct ZooKeeper {
    _process: Process,
    _data: TempDir,
    port: u16,
}

impl ZooKeeper {
    /// Starts an empty one.
    ///
    /// # Panics
    /// When it cannot be had, ends or does not listen; the message has its log.
    #[must_use]
    pub fn start() -> ZooKeeper {
        let data = TempDir::new().expect("the temporary folder can be written");
        let port = port::free();
        let file = data.path().join("zoo.cfg");
        let configuration = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=2000\n\
             admin.enableServer=false\n",
            data.path().join("data").display()
        );
        std::fs::write(&file, configuration).expect("the folder is ours");
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/zookeeper");
        let (mut process, _) = Process::start(Command::new(tool).arg(&file))
            .unwrap_or_else(|error| panic!("tools/zookeeper cannot be run: {error}"));
        let listens = wait_until(START, || {
            process.ended().is_some() || port::is_owned_by(port, process.pid())
        });
        let ended = process.ended();
        assert!(ended.is_none() && listens, "zookeeper: {ended:?}\n{}", process.errors());
        ZooKeeper { _process: process, _data: data, port }
    }

    /// How Java writes its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("zookeeper://127.0.0.1:{}", self.port)
    }
}
