//! Tag rules, configurators and mesh rules that Java and Spanwire agree on.

use super::cases::{Call, Case, GREET, SERVICE_CONDITIONS, WHOAMI};

pub(super) const CONFIGURATORS: &str = "interop.EchoService::.configurators";
const TAGS: &str = "shop.tag-router";
pub(super) const MESH: &str = "shop.MESHAPPRULE";

/// Nobody has this tag, and it is insisted on.
const FORCED: &[(&str, &str)] = &[("dubbo.tag", "nope"), ("dubbo.force.tag", "true")];

/// A VirtualService whose calls like `$matches` go to `$destination` and all others
/// to the subset `stable`, with the subsets.
macro_rules! mesh {
    ($matches:literal, $destination:literal) => {
        concat!(
            "apiVersion: service.dubbo.apache.org/v1alpha1\nkind: VirtualService\nmetadata: {name: shop/vs}\n",
            "spec:\n  hosts: [shop]\n  dubbo:\n  - services: [{prefix: interop.}]\n    routedetail:\n",
            "    - match: ",
            $matches,
            "\n      route: [{destination: ",
            $destination,
            "}]\n    - route: [{destination: {host: shop, subset: stable}}]\n---\n",
            "apiVersion: service.dubbo.apache.org/v1alpha1\nkind: DestinationRule\nmetadata: {name: shop/dr}\n",
            "spec:\n  host: shop\n  subsets:\n  - {name: gray, labels: {env: gray}}\n  - {name: stable, labels: {env: prod}}\n",
        )
    };
}

pub(super) use mesh;

pub(super) const OTHER_RULES: &[Case<'static>] = &[
    Case {
        about: "no rule: tags in the providers' URLs count",
        rules: &[],
        calls: &[
            (WHOAMI, "ABCD"),
            (Call::tagged(&[("dubbo.tag", "gray")]), "T"),
            (Call::tagged(&[("dubbo.tag", "nope")]), "ABCD"),
            (Call::tagged(FORCED), ""),
        ],
    },
    Case {
        about: "tags by address, with force",
        rules: &[(
            TAGS,
            "configVersion: v3.0\nforce: true\nkey: shop\ntags: [{name: beta, addresses: ['$OWN:$PORT_C']}]\n",
        )],
        calls: &[
            (WHOAMI, "ABD"),
            (Call::tagged(&[("dubbo.tag", "beta")]), "C"),
            (Call::tagged(&[("dubbo.tag", "gray")]), "T"),
            (Call::tagged(&[("dubbo.tag", "nope")]), "ABD"),
            (Call::tagged(&[("dubbo.tag", "beta|x")]), "C"),
            (Call::tagged(FORCED), ""),
        ],
    },
    Case {
        about: "tags by match",
        rules: &[(
            TAGS,
            "configVersion: v3.0\nforce: false\nkey: shop\ntags:\n- name: test\n  match: [{key: env, value: {exact: gray}}, {key: tier, value: {regex: '[3-9]'}}]\n",
        )],
        calls: &[(WHOAMI, "ABC"), (Call::tagged(&[("dubbo.tag", "test")]), "D")],
    },
    Case {
        about: "a tag that nobody has, without force",
        rules: &[(
            TAGS,
            "configVersion: v3.0\nforce: false\nkey: shop\ntags: [{name: beta, addresses: ['192.0.2.1:20880']}]\n",
        )],
        calls: &[
            (Call::tagged(&[("dubbo.tag", "beta")]), "ABCD"),
            (Call::tagged(&[("dubbo.tag", "beta"), ("dubbo.force.tag", "true")]), ""),
        ],
    },
    Case {
        about: "a tag for a network: nobody is left for calls without it",
        rules: &[(
            TAGS,
            "configVersion: v3.0\nforce: true\nkey: shop\ntags: [{name: all, addresses: ['$OWN/32']}]\n",
        )],
        calls: &[(WHOAMI, ""), (Call::tagged(&[("dubbo.tag", "all")]), "ABCDT")],
    },
    Case {
        about: "a tag for a port of any host, and a condition behind it",
        rules: &[
            (
                TAGS,
                "configVersion: v3.0\nforce: true\nkey: shop\ntags: [{name: beta, addresses: ['0.0.0.0:$PORT_B', '$OWN:$PORT_D']}]\n",
            ),
            (SERVICE_CONDITIONS, "configVersion: v3.0\nconditions: ['method=greet => env=gray']\n"),
        ],
        calls: &[
            (Call::tagged(&[("dubbo.tag", "beta")]), "BD"),
            (GREET.with(&[("dubbo.tag", "beta")]), "D"),
            (GREET, "C"),
        ],
    },
    Case {
        about: "a configurator disables one provider",
        rules: &[(
            CONFIGURATORS,
            "configVersion: v3.0\nscope: service\nkey: interop.EchoService\nconfigs:\n- side: consumer\n  match: {providerAddress: {exact: '$OWN:$PORT_A'}}\n  parameters: {disabled: true}\n",
        )],
        calls: &[(WHOAMI, "BCD")],
    },
    Case {
        about: "a configurator of v2.7 gives one provider weight 0",
        rules: &[(
            CONFIGURATORS,
            "configVersion: v2.7\nscope: service\nkey: interop.EchoService\nenabled: true\nconfigs:\n- side: consumer\n  providerAddresses: ['$OWN:$PORT_B']\n  parameters: {weight: 0}\n",
        )],
        calls: &[(WHOAMI, "ACD")],
    },
    Case {
        about: "a configurator of the application that calls",
        rules: &[(
            "web.configurators",
            "configVersion: v3.0\nscope: application\nkey: web\nconfigs:\n- side: consumer\n  match: {providerAddress: {wildcard: '*:$PORT_C'}}\n  parameters: {disabled: true}\n",
        )],
        calls: &[(WHOAMI, "ABD")],
    },
    Case {
        about: "a mesh rule by method",
        rules: &[(
            MESH,
            mesh!("[{method: {name_match: {exact: greet}, argc: 2}}]", "{subset: gray}"),
        )],
        calls: &[(GREET, "CD"), (WHOAMI, "AB")],
    },
    Case {
        about: "a mesh rule by arguments",
        rules: &[(
            MESH,
            mesh!(
                "[{method: {args: [{index: 0, type: string, str_value: {oneof: [{prefix: t}]}}, {index: 1, num_value: {oneof: [{range: {start: 1.0, end: 10.0}}]}}]}}]",
                "{subset: gray}"
            ),
        )],
        calls: &[
            (Call::greet("tom", 5), "CD"),
            (Call::greet("tom", 10), "AB"),
            (Call::greet("bob", 5), "AB"),
        ],
    },
    Case {
        about: "a mesh rule by the caller's labels and an attachment",
        rules: &[(
            MESH,
            mesh!(
                "[{sourceLabels: {region: hz}, attachments: {dubboContext: {user: {regex: 'u[0-7]'}}}}]",
                "{subset: gray}"
            ),
        )],
        calls: &[
            (GREET.with(&[("user", "u7")]), "CD"),
            (GREET.with(&[("user", "u8")]), "AB"),
            (GREET, "AB"),
        ],
    },
    Case {
        about: "a mesh rule's fallback",
        rules: &[(
            MESH,
            mesh!(
                "[{method: {name_match: {exact: greet}}}]",
                "{subset: none, fallback: {destination: {host: shop, subset: gray}}}"
            ),
        )],
        calls: &[(GREET, "CD"), (WHOAMI, "AB")],
    },
    Case {
        about: "a mesh rule's matches must all hold",
        rules: &[(
            MESH,
            mesh!(
                "[{method: {name_match: {exact: greet}}}, {method: {name_match: {exact: whoami}}}]",
                "{subset: gray}"
            ),
        )],
        calls: &[(GREET, "AB"), (WHOAMI, "AB")],
    },
    Case {
        about: "a configurator as a URL, from before 2.7",
        rules: &[(
            CONFIGURATORS,
            "[\"override://$OWN:$PORT_A/interop.EchoService?category=configurators&disabled=true\"]",
        )],
        calls: &[(WHOAMI, "BCD")],
    },
    Case {
        about: "a configurator of v2.7 for one application and not for another",
        rules: &[(
            CONFIGURATORS,
            "configVersion: v2.7\nscope: service\nkey: interop.EchoService\nconfigs:\n\
             - {side: consumer, applications: [web], providerAddresses: ['$OWN:$PORT_C'], parameters: {disabled: true}}\n\
             - {side: consumer, applications: [other], providerAddresses: ['$OWN:$PORT_D'], parameters: {disabled: true}}\n",
        )],
        calls: &[(WHOAMI, "ABD")],
    },
    Case {
        about: "enabled counts only beside a type, and a type needs it",
        rules: &[(
            CONFIGURATORS,
            "configVersion: v3.0\nscope: service\nkey: interop.EchoService\nconfigs:\n\
             - {side: consumer, enabled: false, match: {providerAddress: {exact: '$OWN:$PORT_A'}}, parameters: {disabled: true}}\n\
             - {side: consumer, type: disabled, match: {providerAddress: {exact: '$OWN:$PORT_B'}}, parameters: {disabled: true}}\n",
        )],
        calls: &[(WHOAMI, "BCD")],
    },
    Case {
        about: "configurators that are off",
        rules: &[(
            CONFIGURATORS,
            "configVersion: v3.0\nscope: service\nkey: interop.EchoService\nenabled: false\nconfigs:\n\
             - {side: consumer, parameters: {disabled: true}}\n",
        )],
        calls: &[(WHOAMI, "ABCD")],
    },
];
