//! What becomes of a call beyond one attempt at one endpoint, where a configurator
//! says so: Dubbo's cluster modes and mocks.
//!
//! Only what rules say counts here, never a provider's URL: a failure that is
//! swallowed, and a call that is sent twice, must have been asked for. Doing it is
//! the forward path's job.

use std::sync::Arc;

use codec::substitute::MOCKED;
use codec::value::json;
use codec::{Substitute, Value};

use crate::rules::Compat;
use crate::rules::configurator::Overrides;
use crate::settings::Cluster;

/// Dubbo's number of endpoints asked at once (`Constants.DEFAULT_FORKS`).
pub const DEFAULT_FORKS: u32 = 2;
/// Dubbo's number of repetitions in the background
/// (`CommonConstants.DEFAULT_FAILBACK_TIMES`).
pub const DEFAULT_FAILBACK_TIMES: u32 = 3;
/// Dubbo's share of failures that ends a broadcast, in percent.
pub const DEFAULT_FAIL_PERCENT: u32 = 100;

/// What rules say of failures and further attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterPolicy {
    /// What becomes of a call that failed.
    pub cluster: Cluster,
    /// How often a call that was sent may be sent again elsewhere. In the failback
    /// mode, how often that happens in the background.
    pub resends: u32,
    /// How many endpoints are asked at once in the forking mode; 0 for all.
    pub forks: u32,
    /// From which share of failures on a broadcast is given up, in percent.
    pub fail_percent: u32,
    /// What answers in a provider's place.
    pub mock: Option<Arc<Mock>>,
}

impl Default for ClusterPolicy {
    /// What holds where no configurator says anything.
    fn default() -> Self {
        ClusterPolicy {
            cluster: Cluster::default(),
            resends: 0,
            forks: DEFAULT_FORKS,
            fail_percent: DEFAULT_FAIL_PERCENT,
            mock: None,
        }
    }
}

/// An answer in place of a provider's.
#[derive(Debug, Clone, PartialEq)]
pub struct Mock {
    /// Whether no provider is asked at all; else only failures are replaced.
    pub force: bool,
    /// The answer.
    pub answer: Substitute,
    /// As the rule says it.
    pub text: Box<str>,
}

/// Why a mock cannot be had here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMock {
    /// None is asked for.
    Off,
    /// It names a class of the caller's.
    Class,
    /// `return` with something that is no value.
    NotAValue,
}

impl Mock {
    /// Reads Dubbo's `mock` parameter (`MockClusterInvoker.invoke`,
    /// `MockInvoker.normalizeMock` and `parseMockValue`).
    pub(crate) fn read(text: &str) -> Result<Mock, NoMock> {
        let trimmed = text.trim();
        if trimmed.is_empty()
            || ["false", "0", "null", "N/A"].iter().any(|off| off.eq_ignore_ascii_case(trimmed))
        {
            return Err(NoMock::Off);
        }
        let force = trimmed.starts_with("force");
        let said = trimmed.strip_prefix("fail:").map_or(trimmed, str::trim);
        let said = said.strip_prefix("force:").map_or(said, str::trim).replace('`', "\"");
        let answer = if trimmed.eq_ignore_ascii_case("return") {
            Substitute::EMPTY
        } else if let Some(value) = said.strip_prefix("return ") {
            Substitute::Value(read_value(value.trim())?)
        } else if let Some(class) = said.strip_prefix("throw") {
            let class = match class.trim() {
                "" => codec::dubbo::reply::RPC_EXCEPTION,
                class => class,
            };
            Substitute::Exception { class: class.to_owned(), message: MOCKED.to_owned() }
        } else {
            return Err(NoMock::Class);
        };
        Ok(Mock { force, answer, text: trimmed.into() })
    }
}

/// The value behind `return`. What type the method returns is not known here, so
/// that `empty` can only be null, and a number is one by its looks.
fn read_value(text: &str) -> Result<Value, NoMock> {
    let quoted = |quote: char| {
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(Value::String(inside.to_owned()))
    };
    Ok(match text {
        "" => return Err(NoMock::NotAValue),
        "null" | "empty" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.len() >= 2 && (quoted('"').is_some() || quoted('\'').is_some()) => {
            quoted('"').or_else(|| quoted('\'')).unwrap_or(Value::Null)
        }
        _ if text.starts_with(['{', '[']) => {
            json::from_json(&serde_json::from_str(text).map_err(|_| NoMock::NotAValue)?)
        }
        _ => {
            // Java reads digits with zeros before them, too.
            let digits = text.trim_start_matches('0');
            let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = if is_digits { digits } else { text };
            match serde_json::from_str::<serde_json::Number>(number) {
                Ok(number) => json::from_json(&number.into()),
                Err(_) => Value::String(text.to_owned()),
            }
        }
    })
}

impl ClusterPolicy {
    /// What sets of overrides say of a method, or of all; `None` where they say
    /// nothing. In Java what is about several attempts counts where it is said of
    /// the caller itself.
    fn read(set: &Overrides, method: Option<&str>) -> Option<ClusterPolicy> {
        let own = |key: &str| set.get(&format!("{}.{key}", method?));
        let of_method = |key: &str| own(key).or_else(|| set.get(key));
        let number = |key: &str| set.get(key).and_then(|value| value.parse::<i64>().ok());
        let cluster = set.get("cluster").and_then(|name| Cluster::from_name(name));
        let cluster = cluster.unwrap_or_default();
        let retries = of_method("retries").and_then(|value| value.parse::<i64>().ok());
        let resends = match cluster {
            Cluster::Failover => retries.unwrap_or(0),
            Cluster::Failback => {
                // Java asks for the general number only.
                let times = number("retries").filter(|times| *times >= 0);
                times.unwrap_or(DEFAULT_FAILBACK_TIMES.into())
            }
            _ => 0,
        };
        let policy = ClusterPolicy {
            cluster,
            resends: u32::try_from(resends.max(0)).unwrap_or(u32::MAX),
            forks: match number("forks") {
                Some(forks) => u32::try_from(forks.max(0)).unwrap_or(u32::MAX),
                None => DEFAULT_FORKS,
            },
            fail_percent: number("broadcast.fail.percent")
                .and_then(|percent| u32::try_from(percent).ok())
                .filter(|percent| *percent <= 100)
                .unwrap_or(DEFAULT_FAIL_PERCENT),
            mock: of_method("mock").and_then(|text| Mock::read(text).ok()).map(Arc::new),
        };
        let is_plain = policy.mock.is_none()
            && policy.resends == 0
            && matches!(cluster, Cluster::Failover | Cluster::Failfast);
        (!is_plain).then_some(policy)
    }
}

/// The policies for an endpoint or the caller, by method.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies {
    general: Said,
    methods: Box<[(Box<str>, Said)]>,
}

/// `None` where nothing is said.
type Said = Option<Arc<ClusterPolicy>>;

impl Policies {
    fn read(set: &Overrides) -> Policies {
        let mut methods: Vec<&str> = set
            .keys()
            .filter_map(|key| key.strip_suffix(".mock").or_else(|| key.strip_suffix(".retries")))
            .collect();
        methods.sort_unstable();
        methods.dedup();
        let of = |method: Option<&str>| ClusterPolicy::read(set, method).map(Arc::new);
        Policies {
            general: of(None),
            methods: methods.iter().map(|name| ((*name).into(), of(Some(name)))).collect(),
        }
    }

    /// What holds for a method.
    pub(crate) fn of(&self, method: &str) -> Option<&Arc<ClusterPolicy>> {
        match self.methods.iter().find(|(name, _)| **name == *method) {
            Some((_, own)) => own.as_ref(),
            None => self.general.as_ref(),
        }
    }

    fn is_empty(&self) -> bool {
        self.general.is_none() && self.methods.iter().all(|(_, own)| own.is_none())
    }
}

/// The policies of all endpoints of a service, and of its caller.
#[derive(Debug, Default)]
pub(crate) struct PolicyTable {
    /// Empty where no rule says anything.
    endpoints: Box<[Policies]>,
    caller: Policies,
}

impl PolicyTable {
    pub(crate) fn read(overrides: &[Overrides], caller: &Overrides) -> PolicyTable {
        let mut endpoints: Vec<Policies> = Vec::with_capacity(overrides.len());
        for (index, set) in overrides.iter().enumerate() {
            // Most endpoints have what their neighbour has.
            let before = index.checked_sub(1).filter(|&before| overrides.get(before) == Some(set));
            let same = before.and_then(|before| endpoints.get(before)).cloned();
            endpoints.push(same.unwrap_or_else(|| Policies::read(set)));
        }
        if endpoints.iter().all(Policies::is_empty) {
            endpoints.clear();
        }
        PolicyTable { endpoints: endpoints.into(), caller: Policies::read(caller) }
    }

    /// What holds whichever endpoint takes the call.
    pub(crate) fn of_caller(&self, method: &str) -> Option<&Arc<ClusterPolicy>> {
        self.caller.of(method)
    }

    /// What holds for calls that an endpoint takes.
    pub(crate) fn of(
        &self,
        compat: Compat,
        endpoint: usize,
        method: &str,
    ) -> Option<&Arc<ClusterPolicy>> {
        match compat {
            Compat::Java => self.caller.of(method),
            Compat::Documented => self.endpoints.get(endpoint)?.of(method),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn mocks_are_read_as_in_dubbo() {
        let value = |text: &str| match Mock::read(text).unwrap() {
            Mock { force, answer: Substitute::Value(value), .. } => (force, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(value("force:return null"), (true, Value::Null));
        assert_eq!(value("return"), (false, Value::Null));
        assert_eq!(value(" fail: return empty "), (false, Value::Null));
        assert_eq!(value("force: return true"), (true, Value::Bool(true)));
        assert_eq!(value("return 'a b'"), (false, Value::from("a b")));
        assert_eq!(value("return `a`"), (false, Value::from("a")));
        assert_eq!(value("return 42"), (false, Value::Int(42)));
        assert_eq!(value("return 007"), (false, Value::Int(7)));
        assert_eq!(value("return 0"), (false, Value::Int(0)));
        assert_eq!(value("return 4200000000"), (false, Value::Long(4_200_000_000)));
        assert_eq!(value("return -1.5"), (false, Value::Double(-1.5)));
        assert_eq!(value("return abc"), (false, Value::from("abc")));
        assert_eq!(value("return [1, \"x\"]").1, Value::list(vec![Value::Int(1), "x".into()]));
        let thrown = |text: &str| match Mock::read(text).unwrap().answer {
            Substitute::Exception { class, .. } => class,
            other => panic!("{other:?}"),
        };
        assert_eq!(thrown("force:throw lab.Refused"), "lab.Refused");
        assert_eq!(thrown("fail:throw"), "org.apache.dubbo.rpc.RpcException");
        for off in ["", " false ", "0", "NULL", "n/a"] {
            assert_eq!(Mock::read(off), Err(NoMock::Off), "{off}");
        }
        for class in ["true", "default", "fail", "force", "lab.EchoMock", "force:return"] {
            assert_eq!(Mock::read(class), Err(NoMock::Class), "{class}");
        }
        assert_eq!(Mock::read("return {x"), Err(NoMock::NotAValue));
    }

    #[test]
    fn a_policy_is_there_only_where_something_is_asked_for() {
        let read = |pairs: &[(&str, &str)], method: Option<&str>| {
            let set = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            ClusterPolicy::read(&set, method)
        };
        assert_eq!(read(&[("timeout", "5"), ("cluster", "failfast"), ("forks", "3")], None), None);
        assert_eq!(read(&[("cluster", "failfast"), ("retries", "3")], None), None);
        let own = [("retries", "3"), ("echo.retries", "0"), ("echo.mock", "return")];
        assert_eq!(read(&own, None).unwrap().resends, 3);
        let echo = read(&own, Some("echo")).unwrap();
        assert_eq!((echo.resends, echo.mock.is_some()), (0, true));
        let back = read(&[("cluster", "failback"), ("retries", "-1")], None).unwrap();
        assert_eq!((back.cluster, back.resends), (Cluster::Failback, 3));
    }
}
