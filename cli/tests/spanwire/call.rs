//! `spanwire call` against a provider that follows a script.

use std::net::TcpListener;

use bytes::BytesMut;
use codec::dubbo::Dubbo;
use codec::hessian2::encode;
use codec::value::Value;
use codec::{Argument, Fault, FrameCodec, Reason, RequestHead};

use super::provider::{HEARTBEAT, HEARTBEAT_ANSWER, Provider, response};
use super::*;

/// Hessian2's compact ints 0, 1, 4: what a response announces.
const EXCEPTION: &[u8] = &[0x90];
const VALUE: &[u8] = &[0x91];
const VALUE_WITH_ATTACHMENTS: &[u8] = &[0x94];

fn url(provider: &Provider) -> String {
    format!("dubbo://{}/lab.EchoService/echo", provider.address)
}

#[test]
fn a_result_is_json_on_stdout() {
    let user = Value::map(vec![
        ("class".into(), "lab.User".into()),
        ("name".into(), "tom".into()),
        ("ages".into(), Value::list(vec![Value::Int(1), Value::Long(1 << 40)])),
    ]);
    let provider = Provider::start(response(20, &[VALUE, &encode::to_bytes(&user)].concat()));
    let url = url(&provider);
    check(
        &[
            "call",
            &url,
            "[\"tom\", 42]",
            "-A",
            "user=u7",
            "-A",
            "empty=",
            "--group",
            "g1",
            "--version",
            "1.0.0",
            "--timeout",
            "1.5s",
        ],
        0,
        "{
  \"ages\": [
    1,
    1099511627776
  ],
  \"class\": \"lab.User\",
  \"name\": \"tom\"
}
",
        "",
    );
    let request = provider.received();
    let head = Dubbo::head(&request);
    let target = head.target().expect("a readable request");
    assert_eq!(
        (target.service, target.method, target.version),
        ("lab.EchoService", "$invoke", "1.0.0")
    );
    assert_eq!(head.group(), Ok("g1"));
    for (name, value) in [("user", "u7"), ("empty", ""), ("timeout", "1500"), ("generic", "true")] {
        assert_eq!(head.field(name).expect("readable").as_deref(), Some(value), "{name}");
    }
    assert_eq!(head.argument(0), Ok(Some(Argument::Text("echo".into()))));
    assert_eq!(head.argument(1), Ok(Some(Argument::Null)), "the types are left to the provider");
}

#[test]
fn types_tell_overloads_apart() {
    let provider = Provider::start(response(20, &[VALUE, b"T"].concat()));
    check(&["call", &url(&provider), "[1]", "--types", "long"], 0, "true\n", "");
    let request = provider.received();
    let types = Argument::Other("[string".into());
    assert_eq!(Dubbo::head(&request).argument(1), Ok(Some(types.clone())));
    let provider = Provider::start(response(20, &[VALUE, b"T"].concat()));
    check(&["call", &url(&provider), "--types", ""], 0, "true\n", "");
    assert_eq!(Dubbo::head(&provider.received()).argument(1), Ok(Some(types)));
}

#[test]
fn a_heartbeat_meanwhile_is_answered() {
    let mut script = HEARTBEAT.to_vec();
    script.extend(response(20, &[VALUE, b"F"].concat()));
    let provider = Provider::start(script);
    let url = url(&provider);
    check(&["call", &url], 0, "false\n", "");
    assert!(provider.received().ends_with(&HEARTBEAT_ANSWER));
}

#[test]
fn machines_get_everything_on_one_line() {
    let attachments = encode::to_bytes(&Value::map(vec![("trace".into(), "t1".into())]));
    let body = [VALUE_WITH_ATTACHMENTS, b"\x05hello", &attachments].concat();
    let provider = Provider::start(response(20, &body));
    let ran = run(&["call", &url(&provider), "-o", "json"]);
    let (json, duration) = split_duration(&ran.stdout);
    assert_eq!(
        json,
        r#"{"attachments":{"trace":"t1"},"duration_us":_,"error":null,"exception":null,"outcome":"success","result":"hello"}"#
    );
    assert!(duration > 0);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
}

/// The line with its duration taken out.
fn split_duration(line: &str) -> (String, u64) {
    let (before, rest) = line.split_once("\"duration_us\":").expect("a duration");
    let end = rest.find([',', '}']).expect("an end");
    let duration = rest[..end].parse().expect("a number");
    (format!("{before}\"duration_us\":_{}", rest[end..].trim_end()), duration)
}

fn exception() -> Vec<u8> {
    let exception = Value::object(
        "org.apache.dubbo.rpc.service.GenericException",
        vec![
            ("detailMessage", Value::Null),
            ("exceptionClass", "lab.NoSuchUser".into()),
            ("exceptionMessage", "no user u7".into()),
        ],
    );
    response(20, &[EXCEPTION, &encode::to_bytes(&exception)].concat())
}

#[test]
fn an_exception_is_told_by_its_real_class() {
    let provider = Provider::start(exception());
    check(&["call", &url(&provider)], 1, "", "error: lab.NoSuchUser: no user u7\n");
    let provider = Provider::start(exception());
    let ran = run(&["call", &url(&provider), "-o", "json"]);
    assert_eq!(
        split_duration(&ran.stdout).0,
        r#"{"attachments":{},"duration_us":_,"error":null,"exception":{"class":"lab.NoSuchUser","message":"no user u7"},"outcome":"business_exception","result":null}"#
    );
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""));
}

#[test]
fn a_fault_of_the_mesh_is_told_as_one() {
    let mut origin = [0_u8; 16];
    response(20, b"")[..16].iter().zip(&mut origin).for_each(|(byte, to)| *to = *byte);
    for (reason, told) in [(Reason::NoEndpoint, "no_endpoint"), (Reason::Timeout, "timeout")] {
        let fault = Fault::new(reason, "nobody answers", "look around");
        let mut reply = BytesMut::new();
        Dubbo::reply(Dubbo::origin(&origin), &fault, &mut reply);
        let provider = Provider::start(reply.to_vec());
        let stderr = format!("error: Spanwire [{told}]: nobody answers; look around\n");
        check(&["call", &url(&provider)], 1, "", &stderr);
        let provider = Provider::start(reply.to_vec());
        let ran = run(&["call", &url(&provider), "-o", "json"]);
        assert!(ran.stdout.contains(&format!("\"outcome\":\"{told}\"")), "{}", ran.stdout);
    }
}

/// The texts are those of Java 3.3 and 2.7.
#[test]
fn a_refusal_is_told_by_its_status_and_what_to_do() {
    for (status, message, told, hint) in [
        (
            40,
            "Fail to decode\n\tat a.b.C",
            "BAD_REQUEST (40): Fail to decode",
            "there is more of it: -o json shows the whole message",
        ),
        (
            70,
            "java.lang.IllegalStateException: Not unique method for method name(m)\n\tat a.b.C",
            "SERVICE_ERROR (70): java.lang.IllegalStateException: Not unique method for method name(m)",
            "name the parameters' types with --types, e.g. --types int,java.lang.String",
        ),
        (
            40,
            "Fail to decode request due to: RpcInvocation [methodName=$invoke, parameterTypes=null]",
            "BAD_REQUEST (40): Fail to decode request due to: RpcInvocation [methodName=$invoke, parameterTypes=null]",
            "that is how Java answers when it has no such service, or not in this --group and --version",
        ),
    ] {
        let provider = Provider::start(response(status, &encode::to_bytes(&Value::from(message))));
        let stderr = format!("error: the call was refused with {told}\n\nhint: {hint}\n");
        check(&["call", &url(&provider)], 1, "", &stderr);
    }
}

#[test]
fn nobody_there_is_told_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    drop(listener);
    check(
        &["call", &format!("dubbo://{address}/lab.EchoService/echo")],
        1,
        "",
        &format!(
            "error: {address} cannot be reached: Connection refused (os error 111)

hint: is it running, and does it listen there? `ss -ltn` on its machine shows what listens
"
        ),
    );
}

#[test]
fn silence_ends_in_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    check(
        &["call", &format!("dubbo://{address}/lab.EchoService/echo"), "--timeout", "100ms"],
        1,
        "",
        &format!(
            "error: {address} gave no answer within 100ms

hint: wait longer with --timeout, or look whether it speaks Dubbo at all
"
        ),
    );
}

#[test]
fn an_answer_in_another_protocol_is_told() {
    let provider = Provider::start(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let address = provider.address;
    let ran = run(&["call", &url(&provider)]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    let start = format!("error: {address} gave an answer that cannot be read: ");
    assert!(ran.stderr.starts_with(&start), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("\n\nhint: does it speak Dubbo?\n"), "{}", ran.stderr);
}

#[test]
fn an_answer_of_two_gibibytes_is_refused_before_it_is_read() {
    let mut huge = response(20, b"");
    huge[12..16].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
    let provider = Provider::start(huge);
    let ran = run(&["call", &url(&provider)]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("is over the limit of 268435456"), "{}", ran.stderr);
}

#[test]
fn bad_arguments_are_told_before_anything_is_sent() {
    let good = "dubbo://127.0.0.1:1/lab.EchoService/echo";
    let hint =
        "\n\nhint: write a JSON array with one element for each parameter, e.g. '[\"tom\", 42]'\n";
    check(
        &["call", good, "{}"],
        2,
        "",
        &format!("error: the arguments are not a JSON array{hint}"),
    );
    check(
        &["call", good, "[1,]"],
        2,
        "",
        &format!("error: the arguments are not JSON: trailing comma at line 1 column 4{hint}"),
    );
    check(
        &["call", good, "[1]", "--types", "int,long"],
        2,
        "",
        "error: --types names 2, but the arguments are 1\n\nhint: name one type for each argument\n",
    );
    check(
        &["call", good, "[300]", "--types", "byte"],
        2,
        "",
        "error: argument 1 (byte): 300 is no byte\n",
    );
    check(
        &["call", "grpc://127.0.0.1:1/lab.EchoService/echo"],
        2,
        "",
        "error: invalid value 'grpc://127.0.0.1:1/lab.EchoService/echo' for '<URL>': protocol \"grpc\" is not spoken by this build; write dubbo://HOST:PORT/SERVICE/METHOD

For more information, try '--help'.
",
    );
    check(
        &["call", good, "[]", "-A", "novalue"],
        2,
        "",
        "error: invalid value 'novalue' for '--attachment <NAME=VALUE>': write NAME=VALUE

For more information, try '--help'.
",
    );
}
