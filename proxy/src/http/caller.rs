//! A caller's connection, as its calls know it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use codec::http::{Dialect, Version, outcome};

use crate::listener::{Admitted, ListenerContext};

/// The period in which streams that a caller cuts are counted together.
const PERIOD: Duration = Duration::from_secs(1);
/// So many cut streams in one period are no accident. Each costs a call to an
/// endpoint, and the limit on open streams does not hold them back
/// (CVE-2023-44487, "rapid reset").
pub(super) const CUTS: u32 = 2000;

/// One connection.
pub(super) struct Caller {
    pub(super) listener: Rc<ListenerContext>,
    pub(super) address: SocketAddr,
    /// Its IP address.
    pub(super) host: String,
    pub(super) version: Version,
    /// What it began with, before it was upgraded.
    pub(super) began_as: Version,
    /// What it counts by, for a tunnel that outlives its calls.
    pub(super) admitted: Weak<Admitted>,
    /// Set when its bytes are no HTTP any more.
    pub(super) tunnel: Arc<AtomicBool>,
    cuts: Cell<u32>,
    period: Cell<Instant>,
}

impl Caller {
    pub(super) fn new(admitted: &Rc<Admitted>, address: SocketAddr, version: Version) -> Self {
        Caller {
            listener: admitted.listener.clone(),
            admitted: Rc::downgrade(admitted),
            address,
            host: address.ip().to_string(),
            version,
            began_as: version,
            tunnel: Arc::default(),
            cuts: Cell::new(0),
            period: Cell::new(Instant::now()),
        }
    }

    /// The same connection after an upgrade to HTTP/2.
    pub(super) fn upgraded(&self, admitted: &Rc<Admitted>) -> Self {
        let upgraded = Caller::new(admitted, self.address, Version::Http2);
        Caller { began_as: self.version, ..upgraded }
    }

    /// The name that metrics and logs have for its calls.
    pub(super) fn protocol(&self, dialect: Dialect) -> &'static str {
        outcome::protocol(dialect, self.version)
    }

    /// It cut a stream before its answer began.
    pub(super) fn cut(&self) {
        let now = Instant::now();
        if now.duration_since(self.period.get()) > PERIOD {
            self.period.set(now);
            self.cuts.set(0);
        }
        self.cuts.set(self.cuts.get() + 1);
    }

    /// Whether it cuts too many.
    pub(super) fn is_abusive(&self) -> bool {
        self.cuts.get() > CUTS
    }
}
