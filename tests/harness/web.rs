//! Real web servers, each on a free loopback port, which tell what requests they took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use std::{fs, io};

use tempfile::TempDir;

use crate::port;
use crate::process::{Process, wait_until};

/// How long a start may take on a busy machine, and a line of its log.
const START: Duration = Duration::from_secs(20);

/// It takes a request whole before it answers, as one that passes it on to an
/// application does.
const NGINX: &str = "daemon off; master_process off; pid FOLDER/pid; error_log stderr crit;
events { worker_connections 256; }
http {
  log_format line '$request_method $request_uri $status';
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  server {
    listen 127.0.0.1:PORT; access_log /dev/stdout line;
    location / { proxy_pass http://unix:FOLDER/application:; proxy_ignore_client_abort on; }
  }
  server { listen unix:FOLDER/application; access_log off; return 200 'nginx\\n'; }
}
";

/// It passes on what comes, to Node.js.
const HAPROXY: &str = "global
  log stdout format raw local0
  nbthread 1
defaults
  mode http
  log global
  log-format '%HM %HPO %ST'
  timeout client 10s
  timeout server 10s
  timeout connect 10s
  timeout http-request 10s
frontend web
  bind 127.0.0.1:PORT
  default_backend application
backend application
  server node 127.0.0.1:APPLICATION
";

/// A running server. Killed when it is dropped.
#[derive(Debug)]
pub struct WebServer {
    process: Process,
    lines: Receiver<String>,
    application: Option<Box<WebServer>>,
    _folder: TempDir,
    port: u16,
}

impl WebServer {
    /// nginx, which passes what it takes whole on to an application.
    ///
    /// # Panics
    /// When it cannot be had, ends or does not listen; the message has its log.
    #[must_use]
    pub fn nginx() -> WebServer {
        WebServer::start("nginx", |command, folder, port| {
            let file = write(folder, NGINX, port)?;
            // Its own folder is where it keeps what it was not told another place for.
            command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(file);
            Ok(())
        })
    }

    /// haproxy, which passes what it takes on to Node.js. Both say what they took.
    ///
    /// # Panics
    /// As [`WebServer::nginx`].
    #[must_use]
    pub fn haproxy() -> WebServer {
        let application = WebServer::node("web.js");
        let to = HAPROXY.replace("APPLICATION", &application.port.to_string());
        let server = WebServer::start("haproxy", |command, folder, port| {
            command.arg("-db").arg("-f").arg(write(folder, &to, port)?);
            Ok(())
        });
        WebServer { application: Some(Box::new(application)), ..server }
    }

    /// Node.js with a script of `tests/interop/node`, which listens on the port that it
    /// is told.
    ///
    /// # Panics
    /// As [`WebServer::nginx`].
    #[must_use]
    pub fn node(script: &str) -> WebServer {
        WebServer::start("node", |command, _, port| {
            command.arg(node_script(script)).arg(port.to_string());
            Ok(())
        })
    }

    fn start(
        tool: &str,
        tell: impl FnOnce(&mut Command, &Path, u16) -> io::Result<()>,
    ) -> WebServer {
        let folder = TempDir::new().expect("the temporary folder can be written");
        let port = port::free();
        let mut command = Command::new(self::tool(tool));
        tell(&mut command, folder.path(), port).expect("the folder is ours");
        let (mut process, lines) = Process::start(&mut command)
            .unwrap_or_else(|error| panic!("tools/{tool} cannot be run: {error}"));
        let listens = wait_until(START, || {
            process.ended().is_some() || port::is_owned_by(port, process.pid())
        });
        let ended = process.ended();
        assert!(ended.is_none() && listens, "{tool}: {ended:?}\n{}", process.errors());
        WebServer { process, lines, application: None, _folder: folder, port }
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it said since it was last asked, up to the line that contains `last`: one
    /// line for each request, `METHOD PATH STATUS`.
    ///
    /// # Panics
    /// When no such line comes.
    #[track_caller]
    pub fn said(&self, last: &str) -> Vec<String> {
        let deadline = Instant::now() + START;
        let mut said = self.application.as_ref().map_or_else(Vec::new, |it| it.said(last));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(last) => return said,
                Ok(line) => said.push(line),
                Err(_) => panic!("no line with {last:?}: {said:?}\n{}", self.process.errors()),
            }
        }
    }
}

/// Node.js with a script of `tests/interop/node`.
#[must_use]
pub fn node(script: &str) -> Command {
    let mut command = Command::new(tool("node"));
    command.arg(node_script(script));
    command
}

fn node_script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/node").join(name)
}

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools").join(name)
}

/// Writes a configuration for this port, whose files are in this folder.
fn write(folder: &Path, configuration: &str, port: u16) -> io::Result<PathBuf> {
    let file = folder.join("configuration");
    let text = configuration.replace("PORT", &port.to_string());
    fs::write(&file, text.replace("FOLDER", &folder.display().to_string()))?;
    Ok(file)
}
