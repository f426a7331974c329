//! Builds the peers: Maven copies the jars of a Dubbo line or of gRPC, protoc writes the
//! classes of the messages where there is Triple, javac compiles the sources
//! against them. Each is done again only when what it reads has changed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Line, PeerError, sources};
use crate::spanwire;

/// The class path of `line`, built if need be. Other test programs wait meanwhile.
pub(super) fn class_path(line: Line) -> Result<OsString, PeerError> {
    let home = Home::open(line.name())?;
    let jars_of = home.fetch(&sources().join("pom.xml"), &[format!("-Pdubbo-{}", line.name())])?;

    let mut files = home.sources("src")?;
    let triple = sources().join("triple");
    let messages = triple.join("greeter.proto");
    if line.has_triple() {
        files.extend(home.sources("triple")?);
        files.push(messages.clone());
    }
    home.compile(jars_of, files, |files| {
        if let Some(at) = files.iter().position(|file| *file == messages) {
            files.swap_remove(at);
            let generated = home.folder.join("generated");
            remove(&generated).map_err(|error| home.io(error))?;
            fs::create_dir_all(&generated).map_err(|error| home.io(error))?;
            let protoc = Command::new(sources().join("../../../tools/protoc"))
                .arg(format!("--java_out={}", generated.display()))
                .arg(format!("--proto_path={}", triple.display()))
                .arg(&messages)
                .output();
            home.done("protoc", protoc)?;
            files.extend(java_files(&generated).map_err(|error| home.io(error))?);
        }
        Ok(())
    })?;

    let mut path = home.folder.join("classes").into_os_string();
    // Dubbo's own copies of these classes are of a later protobuf than the pom says.
    for jar in fs::read_dir(home.jars()).map_err(|error| home.io(error))? {
        let jar = jar.map_err(|error| home.io(error))?;
        if jar.file_name().to_string_lossy().starts_with("proto-google-common-protos") {
            path.push(":");
            path.push(jar.path());
        }
    }
    path.push(":");
    path.push(home.jars().join("*"));
    Ok(path)
}

/// The class path of grpc-java's interoperability programs, built if need be.
pub(super) fn grpc_class_path() -> Result<OsString, PeerError> {
    let home = Home::open("grpc")?;
    let jars_of = home.fetch(&sources().join("grpc/pom.xml"), &[])?;
    home.compile(jars_of, home.sources("grpc")?, |_| Ok(()))?;
    let mut path = home.folder.join("classes").into_os_string();
    path.push(":");
    path.push(home.jars().join("*"));
    Ok(path)
}

/// Where some peers are built; nobody else builds there while this lives.
struct Home {
    name: &'static str,
    folder: PathBuf,
    _lock: File,
}

impl Home {
    fn open(name: &'static str) -> Result<Home, PeerError> {
        let folder = spanwire::target_folder().join("java").join(name);
        let locked = fs::create_dir_all(&folder)
            .and_then(|()| File::create(folder.join("lock")))
            .and_then(|lock| lock.lock().map(|()| lock));
        match locked {
            Ok(_lock) => Ok(Home { name, folder, _lock }),
            Err(error) => Err(failed(name, error.to_string(), String::new())),
        }
    }

    fn jars(&self) -> PathBuf {
        self.folder.join("lib")
    }

    /// The Java sources in one folder.
    fn sources(&self, folder: &str) -> Result<Vec<PathBuf>, PeerError> {
        java_files(&sources().join(folder)).map_err(|error| self.io(error))
    }

    /// Fetches the jars that a pom names, with further arguments for Maven. Says what
    /// they are made of.
    fn fetch(&self, pom: &Path, arguments: &[String]) -> Result<u64, PeerError> {
        let jars_of = hash(&[pom.to_owned()]).map_err(|error| self.io(error))?;
        once(&self.folder.join("lib.stamp"), jars_of, || {
            remove(&self.jars()).map_err(|error| self.io(error))?;
            let maven = Command::new("mvn")
                .args(["-q", "-B", "-f"])
                .arg(pom)
                .args(arguments)
                .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                .arg(format!("-DoutputDirectory={}", self.jars().display()))
                .output();
            self.done("mvn", maven)
        })?;
        Ok(jars_of)
    }

    /// Compiles against the jars. `prepare` may turn files that are no Java into such.
    fn compile(
        &self,
        jars_of: u64,
        mut files: Vec<PathBuf>,
        prepare: impl FnOnce(&mut Vec<PathBuf>) -> Result<(), PeerError>,
    ) -> Result<(), PeerError> {
        files.sort();
        let classes_of = hash(&files).map_err(|error| self.io(error))? ^ jars_of;
        once(&self.folder.join("classes.stamp"), classes_of, || {
            let classes = self.folder.join("classes");
            remove(&classes).map_err(|error| self.io(error))?;
            prepare(&mut files)?;
            let javac = Command::new("javac")
                .args(["-nowarn", "-parameters", "-encoding", "UTF-8", "-d"])
                .arg(&classes)
                .arg("-cp")
                .arg(self.jars().join("*"))
                .args(&files)
                .output();
            self.done("javac", javac)
        })
    }

    fn io(&self, error: io::Error) -> PeerError {
        failed(self.name, error.to_string(), String::new())
    }

    /// Whether a step went well.
    fn done(&self, program: &str, ran: io::Result<Output>) -> Result<(), PeerError> {
        match ran {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                Err(failed(self.name, format!("{program} failed"), said))
            }
            Err(error) => {
                let what = format!("{program} does not start ({error}); `make test` installs it");
                Err(failed(self.name, what, String::new()))
            }
        }
    }
}

/// Why some peers are not there.
pub(super) fn failed(peers: &'static str, what: String, output: String) -> PeerError {
    PeerError::Build { peers, what, output }
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
