//! The system calls that the standard library does not have: epoll, pinning,
//! limits. All `unsafe` code of the bench is here.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// An epoll instance. Edge-triggered, for reading and writing.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// What happened to one socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    /// The token it was added with.
    pub(crate) token: u64,
    /// There may be something to read (or an end, or an error).
    pub(crate) read: bool,
    /// There may be room to write.
    pub(crate) write: bool,
}

impl Epoll {
    /// A new instance.
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        check(fd)?;
        // SAFETY: epoll_create1 gave this descriptor to us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; 512] })
    }

    /// Watches a socket until it is closed.
    pub(crate) fn add(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: token };
        let (epoll, socket): (RawFd, RawFd) = (self.fd.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: `event` lives across the call, and both descriptors are open.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &raw mut event) })?;
        Ok(())
    }

    /// Waits for events; `None` waits not at all.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map_or(0, |t| t.as_millis() as libc::c_int);
        let (events, room) = (self.events.as_mut_ptr(), self.events.len() as libc::c_int);
        // SAFETY: the kernel writes at most `room` events into `events`.
        match check(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events, room, timeout) }) {
            Ok(n) => Ok(n as usize),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// Event `i` of the last wait.
    pub(crate) fn ready(&self, i: usize) -> Ready {
        let event = self.events[i];
        let flags = event.events;
        Ready {
            token: event.u64,
            read: flags & !(libc::EPOLLOUT as u32) != 0,
            write: flags & libc::EPOLLOUT as u32 != 0,
        }
    }
}

/// The cores that this process may run on, in order.
pub(crate) fn cores() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero cpu_set_t is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes no more than the size that is given.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
    let all = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: every index is below CPU_SETSIZE.
    Ok(all.filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Pins the calling thread, and what it starts from now on, to one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` comes from `cores`, so it is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the kernel reads the set's size and no more.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// Lets this process, and what it starts, open as many files as it may.
pub(crate) fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads one rlimit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

/// Makes `command` run on one core, and end when this process does.
pub(crate) fn confine(command: &mut Command, core: usize) {
    // SAFETY: between fork and exec only async-signal-safe calls are made
    // (sched_setaffinity, prctl), on values of the child's own stack.
    unsafe {
        command.pre_exec(move || {
            pin(core)?;
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            Ok(())
        });
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn epoll_tells_what_there_is_to_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let mut epoll = Epoll::new().unwrap();
        epoll.add(&far, 7).unwrap();
        let n = epoll.wait(Some(Duration::from_secs(5))).unwrap();
        assert!((0..n).any(|i| epoll.ready(i).write && !epoll.ready(i).read));
        near.write_all(b"x").unwrap();
        let n = epoll.wait(Some(Duration::from_secs(5))).unwrap();
        assert!((0..n).any(|i| epoll.ready(i).token == 7 && epoll.ready(i).read));
    }

    #[test]
    fn a_child_runs_where_it_is_confined() {
        let core = *cores().unwrap().last().unwrap();
        let mut command = Command::new("cat");
        command.arg("/proc/self/status");
        confine(&mut command, core);
        let status = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{core}\n")), "{status}");
    }
}
