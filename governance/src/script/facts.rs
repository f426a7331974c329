//! What a script may ask about the call at hand and its endpoints, as plain data.
//!
//! The engine's functions live longer than a call and can borrow nothing of it. What a
//! script will ask is not known before it runs: a run that asks for an attachment, or
//! for the arguments, that were not read yet is abandoned, and repeated with them. A
//! realm remembers what its script asks for, so that this happens at its first calls.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use codec::Argument;
use rquickjs::{Array, Ctx, Exception, Function, IntoJs, Object, Result, Value};

use crate::endpoint::Endpoint;
use crate::route::{CallView, names_of};

use super::meter::Meter;

/// How many attachments a script may ask for.
pub(super) const MAX_ATTACHMENTS: usize = 32;

/// A method of Java's has at most 255 parameters.
const MAX_ARGUMENTS: usize = 256;

/// What was read of something that a call may lack, or that cannot be read.
type Read<T> = std::result::Result<T, String>;

/// An attachment's name and its value.
type Named = (Box<str>, Read<Option<String>>);

/// The answers for the call at hand.
#[derive(Default)]
pub(super) struct Facts {
    endpoints: RefCell<Arc<[Endpoint]>>,
    /// The names that the script asks for, and the call's values.
    attachments: RefCell<Vec<Named>>,
    arguments: RefCell<Option<Read<Vec<Argument<'static>>>>>,
    types: RefCell<Vec<(String, String)>>,
    /// Something was asked for that was not read.
    asks: RefCell<Option<Ask>>,
    /// Whether the script ever asked for arguments.
    wants_arguments: Cell<bool>,
    /// Something stays that cannot be taken away.
    pub(super) spoiled: Cell<bool>,
}

enum Ask {
    Attachment(Box<str>),
    Arguments,
}

impl Facts {
    /// Reads what the script is known to ask for.
    pub(super) fn fill(&self, call: &CallView<'_>, endpoints: &Arc<[Endpoint]>) {
        self.endpoints.replace(endpoints.clone());
        for (name, value) in self.attachments.borrow_mut().iter_mut() {
            *value = attachment(call, name);
        }
        if self.wants_arguments.get() {
            self.arguments.replace(Some(arguments(call)));
            self.types.replace(call.head.parameter_types().map(names_of).unwrap_or_default());
        }
        self.asks.take();
    }

    /// Whether the run asked for what was not there; it is there now.
    pub(super) fn refill(&self, call: &CallView<'_>) -> bool {
        match self.asks.take() {
            None => false,
            Some(Ask::Attachment(name)) => {
                let value = attachment(call, &name);
                self.attachments.borrow_mut().push((name, value));
                true
            }
            Some(Ask::Arguments) => {
                self.wants_arguments.set(true);
                let endpoints = self.endpoints.borrow().clone();
                self.fill(call, &endpoints);
                true
            }
        }
    }

    /// Nothing of the call stays.
    pub(super) fn clear(&self) {
        self.endpoints.take();
        self.arguments.take();
        for (_, value) in self.attachments.borrow_mut().iter_mut() {
            *value = Ok(None);
        }
    }

    fn part(&self, index: usize, name: &str) -> Option<String> {
        let endpoints = self.endpoints.borrow();
        let endpoint = endpoints.get(index)?;
        Some(match name {
            "protocol" => endpoint.protocol.clone(),
            "host" => endpoint.host.clone(),
            "port" => endpoint.port.to_string(),
            "address" => endpoint.address.clone(),
            _ => endpoint.path().to_owned(),
        })
    }

    fn parameter(&self, index: usize, key: &str) -> Option<String> {
        let endpoints = self.endpoints.borrow();
        let endpoint = endpoints.get(index)?;
        // A consumer knows the provider's application by this name, too.
        let key = if key == "remote.application" { "application" } else { key };
        endpoint.parameters.get(key).map(str::to_owned)
    }

    fn parameters(&self, index: usize) -> Vec<Vec<String>> {
        let endpoints = self.endpoints.borrow();
        let Some(endpoint) = endpoints.get(index) else { return Vec::new() };
        let pair = |(key, value): (&str, &str)| vec![key.to_owned(), value.to_owned()];
        endpoint.parameters.iter().map(pair).collect()
    }

    fn attachment(&self, ctx: &Ctx<'_>, name: &str) -> Result<Option<String>> {
        let known = self.attachments.borrow();
        if let Some((_, value)) = known.iter().find(|(known, _)| **known == *name) {
            return value.clone().map_err(|error| Exception::throw_message(ctx, &error));
        }
        if known.len() >= MAX_ATTACHMENTS {
            let message = format!("a script may ask for {MAX_ATTACHMENTS} attachments");
            return Err(Exception::throw_message(ctx, &message));
        }
        self.asks.replace(Some(Ask::Attachment(name.into())));
        Err(Exception::throw_message(ctx, "not read yet"))
    }

    fn arguments<'js>(&self, ctx: &Ctx<'js>) -> Result<Array<'js>> {
        let known = self.arguments.borrow();
        let Some(read) = &*known else {
            self.asks.replace(Some(Ask::Arguments));
            return Err(Exception::throw_message(ctx, "not read yet"));
        };
        let read = read.as_ref().map_err(|error| Exception::throw_message(ctx, error))?;
        let list = Array::new(ctx.clone())?;
        for (index, argument) in read.iter().enumerate() {
            list.set(index, value(ctx, argument)?)?;
        }
        Ok(list)
    }

    fn types(&self, ctx: &Ctx<'_>) -> Result<Vec<Vec<String>>> {
        if self.arguments.borrow().is_none() {
            self.asks.replace(Some(Ask::Arguments));
            return Err(Exception::throw_message(ctx, "not read yet"));
        }
        let types = self.types.borrow();
        Ok(types.iter().map(|(full, simple)| vec![full.clone(), simple.clone()]).collect())
    }
}

/// The object that `around.js` asks.
pub(super) fn host<'js>(
    ctx: &Ctx<'js>,
    facts: &Rc<Facts>,
    meter: &Rc<Meter>,
) -> Result<Object<'js>> {
    let host = Object::new(ctx.clone())?;
    let known = facts.clone();
    let part = move |index: usize, name: String| known.part(index, &name);
    host.set("part", Function::new(ctx.clone(), part)?)?;
    let known = facts.clone();
    let parameter = move |index: usize, key: String| Nullable(known.parameter(index, &key));
    host.set("parameter", Function::new(ctx.clone(), parameter)?)?;
    let known = facts.clone();
    let parameters = move |index: usize| known.parameters(index);
    host.set("parameters", Function::new(ctx.clone(), parameters)?)?;
    let known = facts.clone();
    let attachment = move |ctx: Ctx<'js>, name: String| known.attachment(&ctx, &name).map(Nullable);
    host.set("attachment", Function::new(ctx.clone(), attachment)?)?;
    let known = facts.clone();
    let arguments = move |ctx: Ctx<'js>| known.arguments(&ctx);
    host.set("arguments", Function::new(ctx.clone(), arguments)?)?;
    let known = facts.clone();
    let types = move |ctx: Ctx<'js>| known.types(&ctx);
    host.set("types", Function::new(ctx.clone(), types)?)?;
    let known = facts.clone();
    host.set("spoil", Function::new(ctx.clone(), move || known.spoiled.set(true))?)?;
    let meter = meter.clone();
    let charge = move |ctx: Ctx<'js>, steps: f64| {
        // A cast from a float saturates.
        match meter.spend(steps as u64) {
            true => Ok(()),
            false => Err(Exception::throw_message(&ctx, "a limit is reached")),
        }
    };
    host.set("charge", Function::new(ctx.clone(), charge)?)?;
    Ok(host)
}

/// What is missing is null, as in Java.
struct Nullable(Option<String>);

impl<'js> IntoJs<'js> for Nullable {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self.0 {
            Some(text) => text.into_js(ctx),
            None => Ok(Value::new_null(ctx.clone())),
        }
    }
}

fn attachment(call: &CallView<'_>, name: &str) -> Read<Option<String>> {
    match call.head.field(name) {
        Ok(value) => Ok(value.map(Cow::into_owned)),
        Err(error) => Err(format!("attachment {name} cannot be read: {error}")),
    }
}

fn arguments(call: &CallView<'_>) -> Read<Vec<Argument<'static>>> {
    let mut list = Vec::new();
    loop {
        if list.len() >= MAX_ARGUMENTS {
            return Err(format!("the call has more than {MAX_ARGUMENTS} arguments"));
        }
        match call.head.argument(list.len()) {
            Ok(Some(argument)) => list.push(owned(argument)),
            Ok(None) => return Ok(list),
            Err(error) => return Err(format!("the arguments cannot be read: {error}")),
        }
    }
}

fn owned(argument: Argument<'_>) -> Argument<'static> {
    match argument {
        Argument::Null => Argument::Null,
        Argument::Bool(value) => Argument::Bool(value),
        Argument::Int(value) => Argument::Int(value),
        Argument::Double(value) => Argument::Double(value),
        Argument::Text(text) => Argument::Text(Cow::Owned(text.into_owned())),
        Argument::Other(class) => Argument::Other(Cow::Owned(class.into_owned())),
    }
}

/// An argument as JavaScript has it; an object is a list with the name of its class.
fn value<'js>(ctx: &Ctx<'js>, argument: &Argument<'_>) -> Result<Value<'js>> {
    match argument {
        Argument::Null => Ok(Value::new_null(ctx.clone())),
        Argument::Bool(value) => value.into_js(ctx),
        Argument::Int(value) => (*value as f64).into_js(ctx),
        Argument::Double(value) => value.into_js(ctx),
        Argument::Text(text) => text.as_ref().into_js(ctx),
        Argument::Other(class) => vec![class.to_string()].into_js(ctx),
    }
}
