//! Condition rules of every version and scope that Java and Spanwire agree on.

use super::cases::{Call, Case, GREET, MANY, SERVICE_CONDITIONS, WHOAMI};

pub(super) const CONDITIONS: &[Case<'static>] = &[
    Case {
        about: "a condition on the method",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['method=gre* => region=hz']\n",
        )],
        calls: &[(GREET, "AC"), (WHOAMI, "ABCD")],
    },
    Case {
        about: "a condition on all methods but one",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['method!=greet => region=bj']\n",
        )],
        calls: &[(GREET, "ABCD"), (WHOAMI, "B")],
    },
    Case {
        about: "a text argument",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['arguments[0]=tom => env=gray']\n",
        )],
        calls: &[(GREET, "CD"), (Call::greet("bob", 42), "ABCD")],
    },
    Case {
        about: "a range of a number",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['arguments[1]=40~50 => address=*:$PORT_B']\n",
        )],
        calls: &[(GREET, "B"), (Call::greet("tom", 51), "ABCD")],
    },
    Case {
        about: "an attachment, and ports",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['attachments[user]=u7 => port=$PORT_A,$PORT_C']\n",
        )],
        calls: &[
            (GREET.with(&[("user", "u7")]), "AC"),
            (GREET.with(&[("user", "u8")]), "ABCD"),
            (GREET, "ABCD"),
        ],
    },
    Case {
        about: "a pattern, and the caller's own parameter",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['attachments[user]=u1* => region=$region']\n",
        )],
        calls: &[(GREET.with(&[("user", "u12")]), "AC"), (GREET.with(&[("user", "u2")]), "ABCD")],
    },
    Case {
        about: "!= leaves out those without the parameter",
        rules: &[(SERVICE_CONDITIONS, "configVersion: v3.0\nconditions: ['=> region!=bj']\n")],
        calls: &[(WHOAMI, "AC")],
    },
    Case {
        about: "the caller's host and a pattern of a parameter",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['host=$OWN => region=h*']\n",
        )],
        calls: &[(WHOAMI, "AC")],
    },
    Case {
        about: "the caller's application",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['application=web & region=hz => region=bj', 'application=other => env=gray']\n",
        )],
        calls: &[(WHOAMI, "B")],
    },
    Case {
        about: "an empty right side denies, with force: false too",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nforce: false\nconditions: ['method=whoami =>']\n",
        )],
        calls: &[(WHOAMI, ""), (GREET, "ABCD")],
    },
    Case {
        about: "force leaves nobody",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nforce: true\nconditions: ['method=greet => region=nope']\n",
        )],
        calls: &[(GREET, ""), (WHOAMI, "ABCD")],
    },
    Case {
        about: "without force an empty result does not count, and the next condition does",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nforce: false\nconditions: ['=> region=nope', '=> tier=2~3']\n",
        )],
        calls: &[(WHOAMI, "CD")],
    },
    Case {
        about: "conditions narrow one after the other",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['=> region=hz', '=> env=gray']\n",
        )],
        calls: &[(WHOAMI, "C")],
    },
    Case {
        about: "several values, both ways, of several keys",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['method=greet,sleep & arguments[0]!=bob => env=gray,prod & tier!=1']\n",
        )],
        calls: &[(GREET, "CD"), (Call::greet("bob", 1), "ABCD"), (WHOAMI, "ABCD")],
    },
    Case {
        about: "the format without a version",
        rules: &[(
            SERVICE_CONDITIONS,
            "scope: service\nkey: interop.EchoService\nconditions: ['=> consumer.host=x', 'method = whoami => provider.region = bj']\n",
        )],
        calls: &[(WHOAMI, "B"), (GREET, "ABCD")],
    },
    Case {
        about: "a rule that is off, beside one that is on",
        rules: &[
            (
                SERVICE_CONDITIONS,
                "configVersion: v3.0\nenabled: false\nconditions: ['=> region=bj']\n",
            ),
            (
                "web.condition-router",
                "configVersion: v3.0\nscope: application\nconditions: ['method=greet => env=gray']\n",
            ),
        ],
        calls: &[(GREET, "CD"), (WHOAMI, "ABCD")],
    },
    Case {
        about: "the application that calls",
        rules: &[(
            "web.condition-router",
            "configVersion: v3.0\nscope: application\nconditions: ['method=greet => region=bj']\n",
        )],
        calls: &[(GREET, "B"), (WHOAMI, "ABCD"), (Call { version: "2.0.0", ..GREET }, "W")],
    },
    Case {
        about: "the application that provides",
        rules: &[(
            "shop.condition-router",
            "configVersion: v3.0\nscope: application\nconditions: ['=> env=prod']\n",
        )],
        calls: &[(WHOAMI, "AB")],
    },
    Case {
        about: "service and application narrow one after the other",
        rules: &[
            (SERVICE_CONDITIONS, "configVersion: v3.0\nconditions: ['=> env=gray']\n"),
            (
                "shop.condition-router",
                "configVersion: v3.0\nscope: application\nconditions: ['=> region=hz']\n",
            ),
        ],
        calls: &[(WHOAMI, "C")],
    },
    Case {
        about: "a version has its own rule",
        rules: &[(
            "interop.EchoService:2.0.0:.condition-router",
            "configVersion: v3.0\nconditions: ['=> region=bj']\n",
        )],
        calls: &[(Call { version: "2.0.0", ..WHOAMI }, "W"), (WHOAMI, "ABCD")],
    },
    Case {
        about: "v3.1: one destination",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.1\nconditions: [{from: {match: method=greet}, to: [{match: region=bj}]}]\n",
        )],
        calls: &[(GREET, "B"), (WHOAMI, "ABCD")],
    },
    Case {
        about: "v3.1: no destination",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.1\nconditions: [{from: {match: method=whoami}}]\n",
        )],
        calls: &[(WHOAMI, ""), (GREET, "ABCD")],
    },
    Case {
        about: "v3.1: a split with large weights, of which one has no endpoints",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.1\nconditions:\n- from: {match: 'arguments[0]=tom'}\n  to:\n  - {match: region=nope, weight: 9000}\n  \
             - {match: region=bj, weight: 5000}\n  - {match: region=hz & env=gray, weight: 5000}\n",
        )],
        calls: &[(MANY, "BC"), (Call::greet("bob", 1), "ABCD")],
    },
    Case {
        about: "v3.1: no destination has endpoints, without force and with it",
        rules: &[
            (
                SERVICE_CONDITIONS,
                "configVersion: v3.1\nforce: false\nconditions: [{to: [{match: region=nope}]}]\n",
            ),
            (
                "web.condition-router",
                "configVersion: v3.1\nscope: application\nforce: true\nconditions: [{from: {match: method=greet}, to: [{match: region=nope}]}]\n",
            ),
        ],
        calls: &[(GREET, ""), (WHOAMI, "ABCD")],
    },
    Case {
        about: "v3.1: the application that provides",
        rules: &[(
            "shop.condition-router",
            "configVersion: v3.1\nscope: application\nconditions: [{from: {match: application=web}, to: [{match: env=prod}]}]\n",
        )],
        calls: &[(WHOAMI, "AB")],
    },
    Case {
        about: "v2.7, and a rule that is not valid beside it",
        rules: &[
            (
                SERVICE_CONDITIONS,
                "configVersion: v2.7\nscope: service\nforce: true\nruntime: true\npriority: 1\nconditions: ['method=greet => region=bj']\n",
            ),
            (
                "web.condition-router",
                "configVersion: v2.7\nscope: application\nvalid: false\nconditions: ['=> env=gray']\n",
            ),
        ],
        calls: &[(GREET, "B"), (WHOAMI, "ABCD")],
    },
    Case {
        about: "without an arrow all of it is about endpoints",
        rules: &[(SERVICE_CONDITIONS, "configVersion: v3.0\nconditions: ['region=hz']\n")],
        calls: &[(WHOAMI, "AC")],
    },
    Case {
        about: "a variable on the left is plain text",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['region=$region => env=gray']\n",
        )],
        calls: &[(WHOAMI, "ABCD")],
    },
    Case {
        about: "!= is not about calls without the attachment",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.0\nconditions: ['attachments[user]!=u7 => region=hz']\n",
        )],
        calls: &[
            (GREET, "ABCD"),
            (GREET.with(&[("user", "u7")]), "ABCD"),
            (GREET.with(&[("user", "u8")]), "AC"),
        ],
    },
    Case {
        about: "v3.10 is read as v3.1, and no match of a destination means everybody",
        rules: &[(
            SERVICE_CONDITIONS,
            "configVersion: v3.10\nconditions: [{from: {match: method=greet}, to: [{match: env=gray}]}, \
             {to: [{match: 'false'}]}, {to: [{match: ''}]}]\n",
        )],
        calls: &[(GREET, "CD"), (WHOAMI, "ABCD")],
    },
];
