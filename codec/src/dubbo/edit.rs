//! Setting and removing attachments, with every other byte kept.

use bytes::{BufMut, BytesMut};

use crate::error::EditError;
use crate::{hessian2, jsonb};

use super::attachments::Attachments;
use super::head::RequestHead;
use super::header::{self, Header};
use super::leaf::Leaf;
use super::response::ResponseHead;
use super::serialization::Serialization;

/// What to change. A name in both lists is removed and set again, at the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edit<'e> {
    /// Attachments to set. An existing one keeps its place, a new one comes
    /// last.
    pub set: &'e [(&'e str, &'e str)],
    /// Attachments to remove, where present.
    pub remove: &'e [&'e str],
}

/// Appends the request `frame` with its attachments changed.
///
/// # Errors
/// See [`EditError`]; then nothing is appended.
pub fn request(frame: &[u8], edit: Edit<'_>, out: &mut BytesMut) -> Result<(), EditError> {
    let head = RequestHead::new(frame);
    let header = head.header()?;
    splice(frame, header, head.attachments()?, edit, out)
}

/// Whether a response that has no map of attachments may be given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// [`EditError::NoAttachments`].
    Refuse,
    /// The response becomes one of the type with attachments. Only for callers
    /// that understand it: whose request named protocol version 2.0.2 or later
    /// (`Version.isSupportResponseAttachment`).
    Add,
}

/// Appends the response `frame` with its attachments changed.
///
/// # Errors
/// See [`EditError`]; then nothing is appended.
pub fn response(
    frame: &[u8],
    edit: Edit<'_>,
    missing: Missing,
    out: &mut BytesMut,
) -> Result<(), EditError> {
    let head = ResponseHead::new(frame)?;
    let header = head.header();
    if header.status != header::OK {
        return Err(EditError::NoAttachments);
    }
    if let Some(attachments) = head.attachments()? {
        return splice(frame, header, attachments, edit, out);
    }
    if missing == Missing::Refuse {
        return Err(EditError::NoAttachments);
    }
    let start = out.len();
    let kind = i32::from(head.response_type()?.with_attachments().number());
    let mut body = head.body();
    header.write(out);
    match header.serialization() {
        Serialization::Hessian2 => {
            hessian2::scalar::int(&mut body, "response type")?;
            hessian2::write::int(out, kind);
        }
        _ => {
            jsonb::document(&mut body, "response type")?;
            jsonb::write::document(out, |out| jsonb::write::int(out, kind));
        }
    }
    out.put_slice(body.slice(body.at(), frame.len()));
    write_map(header.serialization(), edit.set, out);
    finish(out, start).inspect_err(|_| out.truncate(start))
}

/// Appends `frame` with the map that `attachments` is at the start of changed.
fn splice(
    frame: &[u8],
    header: Header,
    mut attachments: Attachments<'_>,
    edit: Edit<'_>,
    out: &mut BytesMut,
) -> Result<(), EditError> {
    let start = out.len();
    try_splice(frame, header, &mut attachments, edit, out)
        .and_then(|()| finish(out, start))
        .inspect_err(|_| out.truncate(start))
}

fn try_splice(
    frame: &[u8],
    header: Header,
    attachments: &mut Attachments<'_>,
    edit: Edit<'_>,
    out: &mut BytesMut,
) -> Result<(), EditError> {
    let start = out.len();
    let serialization = header.serialization();
    if !attachments.is_open() {
        // Null, or nothing at all: a map takes its place.
        if edit.set.is_empty() {
            out.put_slice(frame);
            return Ok(());
        }
        out.put_slice(frame.get(..attachments.map_at()).unwrap_or(frame));
        write_map(serialization, edit.set, out);
        out.put_slice(frame.get(attachments.at()..).unwrap_or_default());
        return Ok(());
    }
    let mut kept = 0;
    let mut keep_to = |from: usize, upto: usize, out: &mut BytesMut| {
        out.put_slice(frame.get(kept..from).unwrap_or_default());
        kept = upto;
    };
    let mut is_set: smallvec::SmallVec<[bool; 8]> = smallvec::smallvec![false; edit.set.len()];
    let mut symbols = attachments.symbols();
    while let Some(entry) = attachments.next() {
        let (key, value) = entry?;
        let removed = edit.remove.iter().any(|name| key.is(name));
        let place = edit.set.iter().position(|(name, _)| key.is(name));
        let new_symbols =
            attachments.symbols() != std::mem::replace(&mut symbols, attachments.symbols());
        if !removed && place.is_none() {
            continue;
        }
        if matches!(value, Leaf::Other(_)) || (removed && new_symbols) {
            return Err(EditError::Shared(key.to_str().into_owned()));
        }
        let duplicate = place.is_some_and(|place| is_set[place]);
        if removed || duplicate {
            keep_to(attachments.entry_at(), attachments.at(), out);
        } else if let Some(place) = place {
            is_set[place] = true;
            keep_to(attachments.value_at(), attachments.at(), out);
            write_string(serialization, edit.set[place].1, out);
        }
    }
    // The end mark.
    let end = attachments.entry_at();
    keep_to(end, end, out);
    for ((name, value), _) in edit.set.iter().zip(&is_set).filter(|(_, done)| !**done) {
        write_string(serialization, name, out);
        write_string(serialization, value, out);
    }
    keep_to(frame.len(), frame.len(), out);
    if serialization == Serialization::Fastjson2 {
        // The map's own length stands before it.
        let map_at = start + attachments.map_at();
        let grown = (out.len() - start).wrapping_sub(frame.len()) as u32;
        if let Some(field) = out.get_mut(map_at..).and_then(|map| map.first_chunk_mut::<4>()) {
            *field = u32::from_be_bytes(*field).wrapping_add(grown).to_be_bytes();
        }
    }
    Ok(())
}

fn write_string(serialization: Serialization, text: &str, out: &mut BytesMut) {
    match serialization {
        Serialization::Fastjson2 => jsonb::write::string(out, text),
        _ => hessian2::write::string(out, text),
    }
}

/// A whole map of attachments.
pub(super) fn write_map(
    serialization: Serialization,
    entries: &[(&str, &str)],
    out: &mut BytesMut,
) {
    let write_entries = |out: &mut BytesMut| {
        for (name, value) in entries {
            write_string(serialization, name, out);
            write_string(serialization, value, out);
        }
    };
    match serialization {
        Serialization::Fastjson2 => {
            jsonb::write::document(out, |out| jsonb::write::map(out, write_entries));
        }
        _ => {
            out.put_u8(b'H');
            write_entries(out);
            out.put_u8(b'Z');
        }
    }
}

/// Corrects the body's length in the header at `start`.
fn finish(out: &mut BytesMut, start: usize) -> Result<(), EditError> {
    u32::try_from(out.len() - start - header::LEN).map_err(|_| EditError::TooLong)?;
    header::set_body_len(out, start);
    Ok(())
}
