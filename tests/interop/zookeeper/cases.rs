//! What a case is, and the cases in which Java does otherwise than documented.
//!
//! A to D and T are providers of the application `shop`, V and W the same service in
//! version 2.0.0; the caller is `web` in region hz.

use super::other_rules::{CONFIGURATORS, MESH, mesh};

/// A call, made many times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// The arguments of `greet`; without, it is `whoami`.
    pub(super) greet: Option<(&'static str, i32)>,
    pub(super) attachments: &'static [(&'static str, &'static str)],
    pub(super) version: &'static str,
    pub(super) count: u32,
}

impl Call {
    pub(super) const WHOAMI: Call = Call { greet: None, attachments: &[], version: "", count: 20 };

    pub(super) const fn greet(name: &'static str, number: i32) -> Call {
        Call { greet: Some((name, number)), ..Call::WHOAMI }
    }

    pub(super) const fn tagged(tag: &'static [(&'static str, &'static str)]) -> Call {
        Call { attachments: tag, ..Call::WHOAMI }
    }

    pub(super) const fn with(self, attachments: &'static [(&'static str, &'static str)]) -> Call {
        Call { attachments, ..self }
    }
}

/// Rules that stand together, and who answers.
#[derive(Debug)]
pub(super) struct Case<'c> {
    pub(super) about: &'c str,
    pub(super) rules: &'c [(&'c str, &'c str)],
    pub(super) calls: &'c [(Call, &'c str)],
}

pub(super) const SERVICE_CONDITIONS: &str = "interop.EchoService::.condition-router";

pub(super) const WHOAMI: Call = Call::WHOAMI;
pub(super) const GREET: Call = Call::greet("tom", 42);
/// Enough for both sides of a split to be seen.
pub(super) const MANY: Call = Call { count: 60, ..GREET };

/// What Java does otherwise than documented: the finding that says so, and who
/// answers in Java.
pub(super) const DIFFERENT: &[(Case<'static>, &str, &str)] = &[
    (
        Case {
            about: "a range without an end",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.0\nconditions: ['arguments[1]=40~ => region=hz']\n",
            )],
            calls: &[(GREET, "AC")],
        },
        "open-range",
        "ABCD",
    ),
    (
        Case {
            about: "a dot in an attachment's name",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.0\nconditions: ['attachments[x.y]=1 => region=hz']\n",
            )],
            calls: &[(GREET.with(&[("x.y", "1")]), "AC")],
        },
        "dotted-attachment",
        "ABCD",
    ),
    (
        Case {
            about: "an argument that is not there",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.0\nconditions: ['arguments[5]!=x => region=hz']\n",
            )],
            calls: &[(GREET, "ABCD")],
        },
        "missing-argument-differs",
        "AC",
    ),
    (
        Case {
            about: "half and half by small weights",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.1\nconditions: [{to: [{match: region=bj, weight: 1}, {match: region=hz, weight: 1}]}]\n",
            )],
            calls: &[(MANY, "ABC")],
        },
        "java-split",
        "B",
    ),
    (
        Case {
            about: "drained by weight 0",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.1\nconditions: [{to: [{match: region=bj, weight: 50}, {match: region=hz, weight: 0}]}]\n",
            )],
            calls: &[(MANY, "B")],
        },
        "weight-zero",
        "ABC",
    ),
    (
        Case {
            about: "a prefix inside of a value",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.0\nconditions: ['attachments[user]=u.provider.7 => region=hz']\n",
            )],
            calls: &[(GREET.with(&[("user", "u.provider.7")]), "AC")],
        },
        "prefix-inside",
        "ABCD",
    ),
    (
        Case {
            about: "a text in a range with 0",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.0\nconditions: ['arguments[0]=0~5 => region=hz']\n",
            )],
            calls: &[(GREET, "ABCD")],
        },
        "range-differs",
        "AC",
    ),
    (
        Case {
            about: "a range without numbers",
            rules: &[(
                SERVICE_CONDITIONS,
                "configVersion: v3.0\nconditions: ['arguments[0]=a~b => region=hz']\n",
            )],
            calls: &[(GREET, "ABCD")],
        },
        "bad-range",
        "AC",
    ),
    (
        Case {
            about: "affinity",
            rules: &[(
                "interop.EchoService::.affinity-router",
                "configVersion: v3.1\nscope: service\naffinityAware: {key: region, ratio: 20}\n",
            )],
            calls: &[(WHOAMI, "AC")],
        },
        "affinity-inactive-in-java",
        "ABCD",
    ),
    (
        Case {
            about: "a configurator by the provider's own parameters",
            rules: &[(
                CONFIGURATORS,
                "configVersion: v3.0\nscope: service\nkey: interop.EchoService\nconfigs:\n\
                 - {side: consumer, match: {param: [{key: env, value: {exact: gray}}]}, parameters: {disabled: true}}\n",
            )],
            calls: &[(WHOAMI, "AB")],
        },
        "label-not-seen",
        "ABCD",
    ),
    (
        Case {
            about: "a configurator for the providers of a network",
            rules: &[(
                CONFIGURATORS,
                "configVersion: v3.0\nscope: service\nkey: interop.EchoService\nconfigs:\n\
                 - {side: consumer, match: {providerAddress: {cird: $OWN/32}}, parameters: {disabled: true}}\n",
            )],
            calls: &[(WHOAMI, "")],
        },
        "network-never-matches",
        "ABCD",
    ),
    (
        Case {
            about: "a whole number in a mesh rule",
            rules: &[(
                MESH,
                mesh!(
                    "[{method: {argc: 2, args: [{index: 1, num_value: {oneof: [{exact: 42}]}}]}}]",
                    "{subset: gray}"
                ),
            )],
            calls: &[(GREET, "CD")],
        },
        "number-needs-point",
        "AB",
    ),
    (
        Case {
            about: "an argument that the call may not have in a mesh rule",
            rules: &[(
                MESH,
                mesh!(
                    "[{method: {args: [{index: 2, str_value: {oneof: [{exact: x}]}}]}}]",
                    "{subset: gray}"
                ),
            )],
            calls: &[(GREET, "AB")],
        },
        "argument-unguarded",
        "",
    ),
    (
        Case {
            about: "half and half by small weights in a mesh rule",
            rules: &[(
                MESH,
                mesh!(
                    "[]",
                    "{subset: stable}, weight: 1}, {weight: 1, destination: {subset: gray}"
                ),
            )],
            calls: &[(MANY, "ABCD")],
        },
        "java-split",
        "AB",
    ),
];
