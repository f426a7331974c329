//! A real etcd server on free loopback ports, with its data in a folder of its
//! own: killed, frozen and started again at will.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// How long etcd may take to answer after its start.
const START: Duration = Duration::from_secs(20);

/// Where its messages go, in its folder.
const LOG: &str = "log";

/// A running etcd, killed when dropped.
#[derive(Debug)]
pub struct Etcd {
    child: Child,
    name: String,
    client: u16,
    peer: u16,
    data: TempDir,
}

impl Etcd {
    /// Starts an empty one. Fails loudly when etcd cannot be had.
    pub async fn start() -> Result<Etcd> {
        let data = tempfile::tempdir()?;
        let name = format!("test-{:x}", fastrand::u64(..));
        let (client, peer) = (free_port()?, free_port()?);
        let child = spawn(&name, client, peer, data.path())?;
        let mut etcd = Etcd { child, name, client, peer, data };
        etcd.ready().await?;
        Ok(etcd)
    }

    /// The endpoint to connect to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client)
    }

    /// Kills it at once (SIGKILL); its data stays.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again, on the same data and ports, after a kill.
    pub async fn restart(&mut self) -> Result<()> {
        self.child = spawn(&self.name, self.client, self.peer, self.data.path())?;
        self.ready().await
    }

    /// Kills it and starts it again on the same data, but on another port, where
    /// those who know the first one do not find it. Returns the first one, for
    /// [`move_back`](Etcd::move_back).
    pub async fn move_away(&mut self) -> Result<u16> {
        self.kill()?;
        let home = std::mem::replace(&mut self.client, free_port()?);
        self.restart().await?;
        Ok(home)
    }

    /// Kills it and starts it again on the port it had first.
    pub async fn move_back(&mut self, home: u16) -> Result<()> {
        self.kill()?;
        self.client = home;
        self.restart().await
    }

    /// Throws its data away and starts it again, after a kill.
    pub async fn restart_empty(&mut self) -> Result<()> {
        self.data = tempfile::tempdir()?;
        self.restart().await
    }

    /// Stops the process without closing its connections (SIGSTOP).
    pub fn freeze(&self) -> Result<()> {
        self.signal(libc::SIGSTOP)
    }

    /// Lets it go on after [`freeze`](Etcd::freeze).
    pub fn thaw(&self) -> Result<()> {
        self.signal(libc::SIGCONT)
    }

    fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: plain system call; the child is ours and not waited for yet,
        // so that its id cannot belong to another process.
        let result = unsafe { libc::kill(pid, signal) };
        ensure!(result == 0, "signal {signal} to {pid}: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// Waits until the server behind the port answers, and checks that it is
    /// this one.
    async fn ready(&mut self) -> Result<()> {
        let until = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.data.path().join(LOG)).unwrap_or_default();
                bail!("etcd ended at its start: {status}\n{log}");
            }
            match self.member_name().await {
                Ok(name) if name == self.name => return Ok(()),
                Ok(name) => bail!("port {} belongs to another etcd, \"{name}\"", self.client),
                Err(error) if Instant::now() > until => {
                    return Err(error).context("etcd does not answer");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn member_name(&self) -> Result<String> {
        let ask = async {
            let mut client = etcd_client::Client::connect([self.url()], None).await?;
            // Answers only once there is a leader.
            client.get("ready", None).await?;
            client.member_list().await
        };
        let list = tokio::time::timeout(Duration::from_secs(1), ask).await??;
        let member = list.members().first().context("no members")?;
        Ok(member.name().to_owned())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `etcdctl` against an endpoint and returns what it prints.
pub fn etcdctl(url: &str, arguments: &[&str]) -> Result<String> {
    let output = etcdctl_command(url).args(arguments).output()?;
    ensure!(
        output.status.success(),
        "etcdctl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The command that starts `etcdctl` against an endpoint, for calls that last.
///
/// The endpoint is given without its scheme: with one, `endpoint status` of
/// etcdctl 3.4 sends the whole URL as HTTP/2 authority, which strict servers
/// (the `h2` crate among them) answer with PROTOCOL_ERROR.
pub fn etcdctl_command(url: &str) -> Command {
    let mut command = Command::new(tool("etcdctl"));
    command.env("ETCDCTL_API", "3").args(["--endpoints", url.trim_start_matches("http://")]);
    command
}

/// A loopback port that is free right now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn tool(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools").join(name)
}

fn spawn(name: &str, client: u16, peer: u16, data: &Path) -> Result<Child> {
    let client = format!("http://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    Command::new(tool("etcd"))
        .arg("--name")
        .arg(name)
        .arg("--data-dir")
        .arg(data.join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("{name}={peer}")])
        // A single member need not wait long to elect itself.
        .args(["--heartbeat-interval", "10", "--election-timeout", "50"])
        .args(["--logger", "zap", "--log-level", "error"])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(data.join(LOG))?)
        .spawn()
        .context("tools/etcd cannot be run")
}
