//! Documents made to cost time or memory. The test holds what is found in them against
//! what is expected, and bounds what they allocate; `benches/hostile.rs` measures how long
//! they take.

/// A document, and the code of the first error in it.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    /// The key that it stands under.
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) code: &'static str,
}

const CONDITION: &str = "lab.Echo::.condition-router";
const TAG: &str = "shop.tag-router";
const CONFIGURATORS: &str = "lab.Echo::.configurators";
const MESH: &str = "shop.MESHAPPRULE";
const AFFINITY: &str = "lab.Echo::.affinity-router";
const SCRIPT: &str = "shop.script-router";

fn document(name: &'static str, key: &'static str, code: &'static str, text: String) -> Hostile {
    Hostile { name, key, text, code }
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// One alias nine times.
fn nine(of: usize) -> String {
    vec![format!("*a{of}"); 9].join(", ")
}

fn script(text: &str) -> String {
    format!("type: javascript\nscript: |\n  {text}\n")
}

/// All of them.
pub(crate) fn all() -> Vec<Hostile> {
    let mut all = yaml();
    all.extend(rules());
    all.extend(patterns());
    all.extend(scripts());
    all
}

fn yaml() -> Vec<Hostile> {
    let laughs = format!(
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n{}conditions: *a8\n",
        lines(8, |n| format!("a{}: &a{} [{}]\n", n + 1, n + 1, nine(n)))
    );
    let merges = format!(
        "a0: &a0 {{k: v}}\n{}",
        lines(20, |n| format!("a{}: &a{}\n  <<: [{}]\n", n + 1, n + 1, nine(n)))
    );
    vec![
        document(
            "10 MB in one text",
            CONDITION,
            "yaml-too-large",
            format!("conditions: ['{}']", "x".repeat(10 << 20)),
        ),
        document(
            "10 MB of keys",
            TAG,
            "yaml-too-large",
            lines(700_000, |n| format!("key{n:07}: {n}\n")),
        ),
        document("10 MB of nothing", MESH, "yaml-too-large", " ".repeat(10 << 20)),
        document(
            "a text as long as may be",
            CONDITION,
            "bad-condition",
            format!("conditions: ['{}=> a!!b']", "x".repeat((3 << 19) - 64)),
        ),
        document("laughs by aliases", CONDITION, "yaml-too-many-values", laughs),
        document("laughs by merges", CONDITION, "missing-key", merges),
        document(
            "a long text many times",
            CONDITION,
            "yaml-too-many-values",
            format!("a: &a '{}'\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100_000)),
        ),
        document(
            "an alias inside itself",
            CONDITION,
            "yaml-cyclic-alias",
            "conditions: &a [*a]\n".to_owned(),
        ),
        document("brackets", CONDITION, "yaml-syntax", "[".repeat(1 << 20)),
        document("dashes", CONDITION, "yaml-too-deep", "- ".repeat(700_000)),
        document("braces", CONDITION, "yaml-syntax", "{a: ".repeat(300_000)),
        document(
            "anchors",
            CONDITION,
            "yaml-too-many-values",
            lines(60_000, |n| format!("- &a{n} x\n- *a{n}\n")),
        ),
        document(
            "values",
            CONDITION,
            "yaml-too-many-values",
            format!("conditions: [{}]", "1,".repeat(700_000)),
        ),
        document("duplicate keys", CONDITION, "yaml-duplicate-key", "key: a\n".repeat(45_000)),
        document(
            "escapes without an end",
            CONDITION,
            "yaml-syntax",
            format!("conditions: [\"{}", "\\u0041".repeat(200_000)),
        ),
        document("documents", CONDITION, "yaml-several-documents", "--- a\n".repeat(90_000)),
        document(
            "tags of YAML",
            CONDITION,
            "yaml-tag",
            "- !!python/object:os.system x\n".repeat(50_000),
        ),
    ]
}

fn rules() -> Vec<Hostile> {
    let keys: Vec<String> = (0..200_000).map(|n| format!("k{n}")).collect();
    let values = "v,".repeat(500_000);
    vec![
        document(
            "unknown fields",
            CONDITION,
            "missing-key",
            lines(48_000, |n| format!("confitions{n}: 1\n")),
        ),
        document(
            "conditions of a wrong type",
            CONDITION,
            "wrong-type",
            format!("conditions: {{{}}}", lines(48_000, |n| format!("k{n}: [], "))),
        ),
        document(
            "a condition of many keys",
            CONDITION,
            "bad-condition",
            format!("conditions: ['{} => x=1']", keys.join("&")),
        ),
        document(
            "a condition of many values",
            CONDITION,
            "bad-condition",
            format!("conditions: ['a={values}b!!c => x=1']"),
        ),
        document(
            "bad conditions",
            CONDITION,
            "bad-condition",
            format!("conditions:\n{}", "- 'a=b & c=!d => e=f'\n".repeat(60_000)),
        ),
        document(
            "destinations of a wrong type",
            CONDITION,
            "wrong-type",
            format!(
                "configVersion: v3.1\nconditions:\n{}",
                "- {from: [], to: {a: b}}\n".repeat(14_000)
            ),
        ),
        document(
            "bad addresses",
            TAG,
            "bad-address",
            format!(
                "configVersion: v3.0\ntags: [{{name: a, addresses: [{}]}}]",
                "'300.1.1.*.*', ".repeat(80_000)
            ),
        ),
        document(
            "tags of a wrong type",
            TAG,
            "wrong-type",
            format!("configVersion: v3.0\ntags: [{}]", "[[]], ".repeat(45_000)),
        ),
        document(
            "overrides that are none",
            CONFIGURATORS,
            "bad-url",
            format!("[{}]", "\"override//%%%?a=b&c\",".repeat(50_000)),
        ),
        document(
            "configurators that set nothing",
            CONFIGURATORS,
            "no-parameters",
            format!("configVersion: v3.0\nconfigs:\n{}", "- {side: consumer}\n".repeat(30_000)),
        ),
        document("mesh documents", MESH, "missing-key", "---\nkind: x\n".repeat(30_000)),
        document(
            "an affinity of a wrong type",
            AFFINITY,
            "wrong-type",
            format!("configVersion: v3.1\naffinityAware: [{}]", "a,".repeat(90_000)),
        ),
    ]
}

fn patterns() -> Vec<Hostile> {
    let tag = |items: &str| format!("configVersion: v3.0\ntags: [{{name: a, match: [{items}]}}]");
    let item = |pattern: &str| format!("{{key: b, value: {{regex: '{pattern}'}}}},");
    vec![
        document("a pattern that grows", TAG, "bad-regex", tag(&item("(a{1,1000}){1,1000}"))),
        document(
            "patterns that grow",
            TAG,
            "bad-regex",
            tag(&item("((a{1,100}){1,100}){1,100}").repeat(13_000)),
        ),
        document(
            "patterns as large as may be",
            TAG,
            "bad-regex",
            tag(&item("[a-z]{1,900}").repeat(13_000)),
        ),
        document(
            "patterns of many letters",
            TAG,
            "bad-regex",
            tag(&item("\\pL{1,50}").repeat(13_000)),
        ),
        document("a long pattern", TAG, "bad-regex", tag(&item(&"(a|b)?".repeat(100_000)))),
        document("nested parentheses", TAG, "bad-regex", tag(&item(&"(".repeat(500_000)))),
    ]
}

fn scripts() -> Vec<Hostile> {
    let long = 15 << 10;
    vec![
        document("a long script", SCRIPT, "script-syntax", script(&"a+".repeat(500_000))),
        document("parentheses in a script", SCRIPT, "script-syntax", script(&"(".repeat(long))),
        document(
            "functions in a script",
            SCRIPT,
            "script-syntax",
            script(&"function(){".repeat(long / 11)),
        ),
        document("arrays in a script", SCRIPT, "script-syntax", script(&"[".repeat(long))),
        document("templates in a script", SCRIPT, "script-syntax", script(&"`${".repeat(long / 3))),
        document("signs in a script", SCRIPT, "script-syntax", script(&"- ".repeat(long / 2))),
        document(
            "patterns in a script",
            SCRIPT,
            "script-syntax",
            script(&format!("/{}/", "(".repeat(long))),
        ),
        document(
            "a number in a script",
            SCRIPT,
            "script-syntax",
            script(&format!("{}n", "9".repeat(long))),
        ),
        document(
            "names in a script",
            SCRIPT,
            "script-syntax",
            script(&lines(1_500, |n| format!("var v{n};")).replace("v1499;", ";")),
        ),
    ]
}
