//! Builds the peers: Maven copies the jars of a Dubbo line, protoc writes the
//! classes of the messages where there is Triple, javac compiles the sources
//! against them. Each is done again only when what it reads has changed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Line, PeerError, sources};
use crate::spanwire;

/// The class path of `line`, built if need be. Other test programs wait meanwhile.
pub(super) fn class_path(line: Line) -> Result<OsString, PeerError> {
    let failed =
        |what: String, output: String| PeerError::Build { line: line.name(), what, output };
    let io = |error: io::Error| failed(error.to_string(), String::new());
    let home = spanwire::target_folder().join("java").join(line.name());
    fs::create_dir_all(&home).map_err(io)?;
    let lock = File::create(home.join("lock")).map_err(io)?;
    lock.lock().map_err(io)?;

    let pom = sources().join("pom.xml");
    let jars = home.join("lib");
    let jars_of = hash(std::slice::from_ref(&pom)).map_err(io)?;
    once(&home.join("lib.stamp"), jars_of, || {
        remove(&jars).map_err(io)?;
        let maven = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(&pom)
            .arg(format!("-Pdubbo-{}", line.name()))
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-DoutputDirectory={}", jars.display()))
            .output();
        done("mvn", maven).map_err(|(what, output)| failed(what, output))
    })?;

    let mut files = java_files(&sources().join("src")).map_err(io)?;
    let triple = sources().join("triple");
    let messages = triple.join("greeter.proto");
    if line.has_triple() {
        files.extend(java_files(&triple).map_err(io)?);
        files.push(messages.clone());
    }
    files.sort();
    let classes = home.join("classes");
    let classes_of = hash(&files).map_err(io)? ^ jars_of;
    once(&home.join("classes.stamp"), classes_of, || {
        remove(&classes).map_err(io)?;
        if let Some(at) = files.iter().position(|file| *file == messages) {
            files.swap_remove(at);
            let generated = home.join("generated");
            remove(&generated).map_err(io)?;
            fs::create_dir_all(&generated).map_err(io)?;
            let protoc = Command::new(sources().join("../../../tools/protoc"))
                .arg(format!("--java_out={}", generated.display()))
                .arg(format!("--proto_path={}", triple.display()))
                .arg(&messages)
                .output();
            done("protoc", protoc).map_err(|(what, output)| failed(what, output))?;
            files.extend(java_files(&generated).map_err(io)?);
        }
        let javac = Command::new("javac")
            .args(["-nowarn", "-parameters", "-encoding", "UTF-8", "-d"])
            .arg(&classes)
            .arg("-cp")
            .arg(jars.join("*"))
            .args(&files)
            .output();
        done("javac", javac).map_err(|(what, output)| failed(what, output))
    })?;

    let mut path = classes.into_os_string();
    // Dubbo's own copies of these classes are of a later protobuf than the pom says.
    for jar in fs::read_dir(&jars).map_err(io)? {
        let jar = jar.map_err(io)?;
        if jar.file_name().to_string_lossy().starts_with("proto-google-common-protos") {
            path.push(":");
            path.push(jar.path());
        }
    }
    path.push(":");
    path.push(jars.join("*"));
    Ok(path)
}

/// Runs `make` unless the file `stamp` says that it was run for `inputs`.
fn once(
    stamp: &Path,
    inputs: u64,
    make: impl FnOnce() -> Result<(), PeerError>,
) -> Result<(), PeerError> {
    let inputs = format!("{inputs:016x}");
    if fs::read_to_string(stamp).is_ok_and(|made| made == inputs) {
        return Ok(());
    }
    make()?;
    // Without the stamp the work is only done again.
    let _ = fs::write(stamp, inputs);
    Ok(())
}

fn hash(files: &[PathBuf]) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn java_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(java_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "java") {
            files.push(path);
        }
    }
    Ok(files)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn done(program: &str, ran: io::Result<std::process::Output>) -> Result<(), (String, String)> {
    match ran {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Err((format!("{program} failed"), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(error) => Err((
            format!("{program} does not start ({error}); `make test` installs it"),
            String::new(),
        )),
    }
}
