//! How calls to an endpoint shall be made, where its parameters say so:
//! timeout, retries and load balancing, for all methods or for one.

use std::time::Duration;

use crate::parameters::Parameters;

/// How one endpoint is chosen among several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Balance {
    /// By weight, at random: Dubbo's default.
    #[default]
    Random,
    /// The cheaper of two picked at random (`p2c`, and Dubbo's `adaptive`): cost
    /// is the moving average of the latency times the calls in flight.
    P2c,
}

impl Balance {
    /// The balancer that Dubbo's `loadbalance` parameter names.
    pub fn from_name(name: &str) -> Option<Balance> {
        match name {
            "random" => Some(Balance::Random),
            "p2c" | "adaptive" => Some(Balance::P2c),
            _ => None,
        }
    }

    /// The name Dubbo's `loadbalance` parameter has for it.
    pub fn name(self) -> &'static str {
        match self {
            Balance::Random => "random",
            Balance::P2c => "p2c",
        }
    }
}

/// What the parameters say of one method, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MethodSettings {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) balance: Option<Balance>,
    pub(crate) weight: Option<u32>,
}

/// What an endpoint's parameters say of calls to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Settings {
    general: MethodSettings,
    methods: Box<[(Box<str>, MethodSettings)]>,
}

impl Settings {
    /// Reads `timeout`, `retries`, `loadbalance` and `weight`, and the same with
    /// a method's name and a dot before them. What cannot be read counts as
    /// absent, as in Dubbo.
    pub(crate) fn read(parameters: &Parameters) -> Self {
        let mut settings = Settings::default();
        let mut methods: Vec<(Box<str>, MethodSettings)> = Vec::new();
        for (key, value) in parameters.iter() {
            match key.rsplit_once('.') {
                None => settings.general.set(key, value),
                Some(("default", _)) => {}
                Some((method, key)) => {
                    let mut found = MethodSettings::default();
                    found.set(key, value);
                    if found == MethodSettings::default() {
                        continue;
                    }
                    match methods.iter_mut().find(|(name, _)| **name == *method) {
                        Some((_, existing)) => existing.set(key, value),
                        None => methods.push((method.into(), found)),
                    }
                }
            }
        }
        settings.methods = methods.into_boxed_slice();
        settings
    }

    /// What holds for a method.
    pub(crate) fn of(&self, method: &str) -> MethodSettings {
        let Some((_, own)) = self.methods.iter().find(|(name, _)| **name == *method) else {
            return self.general;
        };
        MethodSettings {
            timeout: own.timeout.or(self.general.timeout),
            retries: own.retries.or(self.general.retries),
            balance: own.balance.or(self.general.balance),
            weight: own.weight.or(self.general.weight),
        }
    }
}

impl MethodSettings {
    fn set(&mut self, key: &str, value: &str) {
        match key {
            "timeout" => {
                self.timeout =
                    value.parse().ok().filter(|&ms: &u64| ms > 0).map(Duration::from_millis);
            }
            "retries" => {
                self.retries = value
                    .parse::<i64>()
                    .ok()
                    .map(|retries| u32::try_from(retries.max(0)).unwrap_or(u32::MAX));
            }
            "loadbalance" => self.balance = Balance::from_name(value),
            "weight" => {
                self.weight = value
                    .parse::<i64>()
                    .ok()
                    .map(|weight| u32::try_from(weight.max(0)).unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_method_has_its_own_settings_and_the_general_ones_else() {
        let parameters: Parameters = [
            ("timeout", "3000"),
            ("sayHello.timeout", "500"),
            ("sayHello.loadbalance", "p2c"),
            ("retries", "-1"),
            ("default.timeout", "9"),
            ("service.name", "x"),
        ]
        .into_iter()
        .collect();
        let settings = Settings::read(&parameters);
        assert_eq!(settings.methods.len(), 1);
        let hello = settings.of("sayHello");
        assert_eq!(hello.timeout, Some(Duration::from_millis(500)));
        assert_eq!((hello.retries, hello.balance), (Some(0), Some(Balance::P2c)));
        assert_eq!(settings.of("other").timeout, Some(Duration::from_millis(3000)));
    }
}
