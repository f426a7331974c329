//! What a case is, and the cases in which Java does otherwise than documented.
//!
//! A to D and T are providers of the application `shop`, V and W the same service in
//! version 2.0.0; the caller is `web` in region hz.

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
];
