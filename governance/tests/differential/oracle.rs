//! The Java program that decides with Dubbo's own classes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// The built program's class path.
pub(crate) struct Oracle {
    class_path: String,
}

impl Oracle {
    /// Builds it with Maven, unless it is built.
    pub(crate) fn build() -> Oracle {
        static BUILDING: Mutex<()> = Mutex::new(());
        let _guard = BUILDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
        let built = Command::new("mvn")
            .args(["-q", "-B", "compile"])
            .current_dir(&home)
            .status()
            .expect("the oracle needs Maven (mvn) and Java 17");
        assert!(built.success(), "the oracle in governance/oracle does not build");
        let libraries = std::fs::read_to_string(home.join("target/classpath")).unwrap();
        let classes = home.join("target/classes");
        Oracle { class_path: format!("{}:{}", classes.display(), libraries.trim()) }
    }

    /// Asks all cases and returns an answer for each.
    pub(crate) fn ask<'a>(&self, cases: impl Iterator<Item = &'a Value>) -> Vec<Value> {
        let mut input = String::new();
        for case in cases {
            input += &case.to_string();
            input.push('\n');
        }
        let mut program = Command::new("java")
            .args(["-XX:+UseSerialGC", "-cp", &self.class_path, "oracle.Oracle"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the oracle needs Java 17");
        let mut stdin = program.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let answers = BufReader::new(program.stdout.take().unwrap())
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        writer.join().unwrap().expect("the oracle must read all cases");
        assert!(program.wait().unwrap().success());
        answers
    }
}
