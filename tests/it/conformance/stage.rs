//! A proxy between a caller and some servers, of any protocol, under some rules.
//!
//! Its one listener takes every protocol, so that each feature holds behind detection.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use proxy::config::{Config, Direction, Listener, StaticService};
use proxy::server::Proxy;
use tempfile::TempDir;

use super::caller::{Answer, Call, Caller};
use super::server::Server;
use super::spoken::Spoken;
use crate::counters::wait_until;
use crate::wire::{self, SERVICE, outbound, service};

/// The stage's listener.
pub const LISTENER: &str = "in";

/// A rule's file and its text.
pub type Rule = (String, String);

/// Conditions of the service, as Dubbo writes them.
pub fn conditions(conditions: &[String]) -> Rule {
    let text = format!("configVersion: v3.0\nforce: true\nconditions: {conditions:?}\n");
    (format!("{SERVICE}::.condition-router.yaml"), text)
}

/// What a configurator of the service orders for its callers.
pub fn configurator(parts: &str) -> Rule {
    let text = format!(
        "configVersion: v3.0\nscope: service\nkey: {SERVICE}\nconfigs: [{{side: consumer, {parts}}}]\n"
    );
    (format!("{SERVICE}::.configurators.yaml"), text)
}

/// Items of `http` in the VirtualService, and the `trafficPolicy` in the DestinationRule.
/// The first server is the subset `one`, the second `two`.
pub fn mesh(routes: &str, policy: &str) -> Rule {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: echo}}\n\
         spec: {{hosts: [{SERVICE}], http: [{routes}]}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: echo}}\n\
         spec: {{host: {SERVICE}, trafficPolicy: {{{policy}}}, subsets: \
         [{{name: one, labels: {{env: one}}}}, {{name: two, labels: {{env: two}}}}]}}\n"
    );
    ("echo-mesh.yaml".to_owned(), text)
}

/// A route to all servers, with these parts.
pub fn route(parts: &str) -> String {
    let more = if parts.is_empty() { "" } else { ", " };
    format!("{{route: [{{destination: {{host: {SERVICE}}}}}]{more}{parts}}}")
}

/// A route to a subset, with these parts.
pub fn route_to(subset: &str, parts: &str) -> String {
    format!("{{route: [{{destination: {{host: {SERVICE}, subset: {subset}}}}}], {parts}}}")
}

/// The proxy, its servers and where it listens.
pub struct Stage {
    pub spoken: Spoken,
    pub proxy: Proxy,
    pub servers: Vec<Server>,
    pub to: SocketAddr,
    pub folder: TempDir,
}

impl Stage {
    /// Two servers, `one` and `two`, under these rules.
    pub fn under(spoken: Spoken, rules: &[Rule]) -> Stage {
        Stage::new(spoken, &["one", "two"], rules, |_| ())
    }

    /// One server under these rules.
    pub fn alone(spoken: Spoken, rules: &[Rule]) -> Stage {
        Stage::new(spoken, &["one"], rules, |_| ())
    }

    pub fn new(
        spoken: Spoken,
        names: &[&'static str],
        rules: &[Rule],
        change: impl FnOnce(&mut Config),
    ) -> Stage {
        let servers: Vec<Server> = names.iter().map(|name| Server::start(spoken, name)).collect();
        let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in rules {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let listener = Listener {
            protocols: Spoken::ALL.map(Spoken::protocol).to_vec(),
            default_service: Some(SERVICE.to_owned()),
            ..wire::listener(LISTENER, Direction::Outbound)
        };
        let mut served =
            StaticService { protocol: spoken.protocol(), ..service(SERVICE, &addresses) };
        for (endpoint, name) in served.endpoints.iter_mut().zip(names) {
            endpoint.labels.insert("env".to_owned(), (*name).to_owned());
        }
        let mut config = Config {
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            services: vec![served],
            listeners: vec![listener],
            rules: vec![folder.path().to_owned()],
            ..outbound(&[])
        };
        change(&mut config);
        let proxy = wire::run(config);
        let to = proxy.address(LISTENER).unwrap();
        Stage { spoken, proxy, servers, to, folder }
    }

    pub fn caller(&self) -> Caller {
        Caller::connect(self.spoken, self.to)
    }

    /// Makes a call on a connection of its own.
    pub fn call(&self, call: &Call) -> Answer {
        self.caller().call(call)
    }

    /// Makes the plainest call.
    pub fn ask(&self) -> Answer {
        self.call(&Call::default())
    }

    /// The same, while the test goes on.
    pub fn asking(&self) -> JoinHandle<Answer> {
        let mut caller = self.caller();
        std::thread::spawn(move || caller.call(&Call::default()))
    }

    /// Holds the first server, and has a call wait there.
    pub fn held(&self) -> JoinHandle<Answer> {
        self.servers[0].hold();
        let calling = self.asking();
        self.servers[0].wait_for(1);
        calling
    }

    /// How many calls each server got, of so many that were all answered.
    pub fn shares(&self, calls: usize) -> Vec<usize> {
        for _ in 0..calls {
            let answer = self.ask();
            assert!(matches!(answer, Answer::From(_)), "{answer:?}");
        }
        self.servers.iter().map(|server| server.arrivals().len()).collect()
    }

    /// Waits until so many calls of a method are counted as having ended so, under the
    /// labels that every protocol has.
    #[track_caller]
    pub fn wait_for_calls(&self, method: &str, outcome: &str, wanted: i64) {
        let protocol = self.spoken;
        let series = format!(
            "spanwire_calls_total{{protocol=\"{protocol}\",listener=\"{LISTENER}\",\
             service=\"{SERVICE}\",method=\"{method}\",outcome=\"{outcome}\"}} "
        );
        wait_until(&format!("{series}to be {wanted}"), || {
            let text = self.proxy.metrics().render();
            // An outcome has no series before it happens.
            let count = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("0");
            if count == wanted.to_string() { Ok(()) } else { Err(format!("it is {count}")) }
        });
    }
}
