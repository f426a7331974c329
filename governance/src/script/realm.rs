//! One script on one thread: an engine, what the script finds around it, and the script
//! as a function.

use std::rc::Rc;
use std::sync::Arc;

use rquickjs::context::EvalOptions;
use rquickjs::context::intrinsic::{Eval, Json, MapSet, Promise, RegExp, RegExpCompiler};
use rquickjs::{Context, Ctx, Error, Function, Object, Persistent, Runtime, Value};

use crate::document::Position;
use crate::endpoint::Endpoint;
use crate::route::CallView;
use crate::rules::Compat;
use crate::set::EndpointSet;

use super::facts::{Facts, MAX_ATTACHMENTS, host};
use super::memory::MeteredMemory;
use super::meter::Meter;
use super::{Clock, Failure, Program, Refusal, ScriptLimits};

/// What a script finds around it.
const AROUND: &str = include_str!("around.js");
/// Lists of Java's.
const LISTS: &str = include_str!("lists.js");
/// What keeps it inside.
const SANDBOX: &str = include_str!("sandbox.js");
/// The native stack that a script may use; worker threads have 2 MiB.
const STACK: usize = 256 << 10;
/// Longer texts are no scripts: to read one takes the square of its variables.
const LONGEST: usize = 16 << 10;

/// What of JavaScript there is. Neither dates nor proxies nor typed arrays; promises are
/// needed by the engine and taken away afterwards.
type Intrinsics = (Eval, RegExpCompiler, RegExp, Json, MapSet, Promise);

/// A script that is ready to run.
pub(super) struct Realm {
    // Values of the engine go before the engine does.
    run: Persistent<Function<'static>>,
    function: Persistent<Function<'static>>,
    is_java: Persistent<Function<'static>>,
    meter: Rc<Meter>,
    facts: Rc<Facts>,
    limits: ScriptLimits,
    went_over: bool,
    context: Context,
}

fn engine(limits: &ScriptLimits, meter: &Rc<Meter>) -> rquickjs::Result<Context> {
    let runtime = Runtime::new_with_alloc(MeteredMemory::new(meter.clone()))?;
    runtime.set_memory_limit(limits.memory);
    runtime.set_max_stack_size(STACK);
    let meter = meter.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || meter.is_over())));
    Context::custom::<Intrinsics>(&runtime)
}

fn options(name: &str) -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(name.to_owned());
    options
}

impl Realm {
    pub(super) fn new(program: &Program, clock: Option<Clock>) -> Result<Realm, Failure> {
        let limits = program.limits;
        let meter = Meter::new(limits, program.source.len(), clock);
        let facts = Rc::new(Facts::default());
        // Whatever fails before the script runs, fails for want of memory.
        let memory = |_: Error| Failure::Memory(limits.memory);
        let context = engine(&limits, &meter).map_err(memory)?;
        let made = context.with(|ctx| {
            let around: Function = ctx.eval_with_options(AROUND, options("around"))?;
            let sandbox: Function = ctx.eval_with_options(SANDBOX, options("around"))?;
            let host = host(&ctx, &facts, &meter)?;
            let sandbox: Object = sandbox.call((host.clone(),))?;
            let is_java = program.compat == Compat::Java;
            let lists: Function = ctx.eval_with_options(LISTS, options("around"))?;
            let lists: Object = lists.call((sandbox.get::<_, Function>("charge")?,))?;
            let parts: Object = around.call((host, is_java, sandbox, lists))?;
            let compile: Function = parts.get("compile")?;
            // From here on the script has a say in what is done.
            meter.start();
            let function: Function = compile.call((program.source.as_str(),))?;
            let keep = |name: &str| {
                Ok::<_, Error>(Persistent::save(&ctx, parts.get::<_, Function>(name)?))
            };
            Ok((keep("run")?, Persistent::save(&ctx, function), keep("isJava")?))
        });
        let (run, function, is_java) =
            made.map_err(|error| meter.failure().unwrap_or_else(|| memory(error)))?;
        Ok(Realm { run, function, is_java, meter, facts, limits, went_over: false, context })
    }

    /// Whether the next call finds nothing of this one.
    pub(super) fn is_clean(&self) -> bool {
        !self.went_over && !self.facts.spoiled.get()
    }

    /// The indexes of the endpoints that the script answers with.
    pub(super) fn run(
        &mut self,
        call: &CallView<'_>,
        endpoints: &Arc<[Endpoint]>,
        candidates: &EndpointSet,
    ) -> Result<Vec<usize>, Failure> {
        let indexes: Vec<usize> = candidates.iter().collect();
        let method = call.head.target().map_or("", |target| target.method);
        let unique = match (call.group, call.version) {
            ("", "") => call.service.to_owned(),
            ("", version) => format!("{}:{version}", call.service),
            (group, "") => format!("{group}/{}", call.service),
            (group, version) => format!("{group}/{}:{version}", call.service),
        };
        let about = vec![method, call.service, unique.as_str()];
        self.facts.fill(call, endpoints);
        self.meter.start();
        let mut answer = self.once(&indexes, &about);
        for _ in 0..=MAX_ATTACHMENTS {
            if !self.facts.refill(call) {
                break;
            }
            self.meter.refill();
            answer = self.once(&indexes, &about);
        }
        self.facts.clear();
        self.went_over =
            matches!(answer, Err(Failure::Steps(_) | Failure::Time(_) | Failure::Memory(_)));
        answer
    }

    fn once(&self, indexes: &[usize], about: &[&str]) -> Result<Vec<usize>, Failure> {
        self.context.with(|ctx| {
            let ran = || -> rquickjs::Result<Vec<usize>> {
                let run = self.run.clone().restore(&ctx)?;
                let function = self.function.clone().restore(&ctx)?;
                run.call((function, indexes.to_vec(), about.to_vec()))
            };
            let ran = ran();
            // A script may have caught what the meter threw.
            if let Some(failure) = self.meter.failure() {
                ctx.catch();
                return Err(failure);
            }
            ran.map_err(|error| self.failure(&ctx, &error))
        })
    }

    fn failure(&self, ctx: &Ctx<'_>, error: &Error) -> Failure {
        if !matches!(error, Error::Exception) {
            return Failure::Memory(self.limits.memory);
        }
        let thrown = ctx.catch();
        // The engine throws null where there is no room for an error.
        if thrown.is_null() {
            return Failure::Memory(self.limits.memory);
        }
        let Thrown { message, place, is_engine } = Thrown::read(&thrown);
        if is_engine && message.contains("out of memory") {
            return Failure::Memory(self.limits.memory);
        }
        let line = place.map_or(0, |place| place.line);
        let is_java = self.is_java.clone().restore(ctx).and_then(|is_java| is_java.call((thrown,)));
        // In Java an overflow of the stack goes through everything.
        let overflows = is_engine && message.contains("stack");
        if overflows || is_java.unwrap_or(false) {
            Failure::Java { message, line }
        } else {
            Failure::Threw { message, line }
        }
    }
}

/// What a script threw.
struct Thrown {
    message: String,
    /// Where, in the text that the engine was given.
    place: Option<Position>,
    /// An error of the engine's own.
    is_engine: bool,
}

impl Thrown {
    fn read(value: &Value<'_>) -> Thrown {
        let Some(exception) = value.as_exception() else {
            let text = value.as_string().and_then(|text| text.to_string().ok());
            let message = match text {
                Some(text) => crate::document::shorten(&text),
                None => format!("it throws {} that is no error", value.type_name()),
            };
            return Thrown { message, place: None, is_engine: false };
        };
        let object = exception.as_object();
        let text = |key: &str| object.get::<_, String>(key).unwrap_or_default();
        let (name, message, stack) = (text("name"), text("message"), text("stack"));
        let is_engine = matches!(name.as_str(), "InternalError" | "RangeError");
        let message = if message.is_empty() { name } else { message };
        Thrown { message: crate::document::shorten(&message), place: place_in(&stack), is_engine }
    }
}

/// The first place in a stack that is in the script, which has no file name of its own.
fn place_in(stack: &str) -> Option<Position> {
    stack.lines().find_map(|line| {
        if line.contains("around:") {
            return None;
        }
        let mut numbers = line.trim_end_matches(')').rsplit(':');
        let column = numbers.next()?.parse().ok()?;
        let line = numbers.next()?.parse().ok()?;
        Some(Position { line, column })
    })
}

/// Whether a text is a script; nothing of it runs.
pub(super) fn check(source: &str, limits: &ScriptLimits) -> Result<(), Refusal> {
    let refused = |at: Position, message: String| Err(Refusal { at, message });
    if source.len() > LONGEST {
        let message = format!("it has {} bytes, but {LONGEST} is the limit", source.len());
        return refused(Position::default(), message);
    }
    if let Some(at) = big_number(source) {
        return refused(at, "numbers without limit (1n) are not among what it may use".to_owned());
    }
    let meter = Meter::new(*limits, source.len(), None);
    meter.start();
    let memory = || Refusal {
        at: Position::default(),
        message: format!("it does not fit into {} KiB of memory", limits.memory >> 10),
    };
    let context = engine(limits, &meter).map_err(|_| memory())?;
    context.with(|ctx| {
        // The whole is parsed before the first line runs, which ends it.
        let text = format!("throw 0;\n{source}");
        let Err(Error::Exception) = ctx.eval_with_options::<(), _>(text, options("check")) else {
            return Err(memory());
        };
        let thrown = ctx.catch();
        if thrown.is_number() {
            return Ok(());
        }
        let Thrown { message, place, .. } = Thrown::read(&thrown);
        let at = place.map_or(Position::default(), |place| Position {
            line: place.line.saturating_sub(1),
            column: place.column,
        });
        Err(Refusal { at, message })
    })
}

/// Where a number with an `n` behind it stands, which is of any length: to calculate with
/// such takes time that no limit sees.
fn big_number(source: &str) -> Option<Position> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    for (number, line) in (1..).zip(source.lines()) {
        let mut start = None;
        for (column, c) in (1..).zip(line.chars().chain([' '])) {
            match start {
                None if is_word(c) => start = Some((column, String::from(c))),
                Some((_, ref mut word)) if is_word(c) => word.push(c),
                Some((column, ref word)) => {
                    let is_big = word.starts_with(|first: char| first.is_ascii_digit())
                        && word.ends_with('n')
                        && word.len() > 1;
                    if is_big {
                        return Some(Position { line: number, column });
                    }
                    start = None;
                }
                None => {}
            }
        }
    }
    None
}
