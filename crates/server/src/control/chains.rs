//! Chains and the gadgets that they are made of.

use std::sync::Arc;

use pipeline::chain::{ChainEntry, ChainFile, LibraryError};
use pipeline::{Chain, ChainError, ChainLibrary, GadgetEntry, nearest};
use serde_json::Value;
use tonic::{Code, Request, Response, Status};

use super::{Context, refusal};
use crate::proto::chain_service_server::ChainService;
use crate::proto::{
    self, CheckChainRequest, CheckChainResponse, DescribeGadgetRequest, DescribeGadgetResponse,
    GetChainRequest, GetChainResponse, ListChainsRequest, ListChainsResponse, ListGadgetsRequest,
    ListGadgetsResponse,
};

/// Chains that are longer than this are refused, as those of scanners.
const MAX_CHAIN_BYTES: usize = 1 << 20;

pub(super) struct Chains(pub Arc<Context>);

impl Chains {
    /// Reads files and checks chains, beside the threads that answer.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ChainLibrary) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let shared = Arc::clone(&self.0.shared);
        tokio::task::spawn_blocking(move || work(&shared.chains))
            .await
            .map_err(|error| Status::internal(format!("the chains cannot be read: {error}")))
    }
}

#[tonic::async_trait]
impl ChainService for Chains {
    async fn list_chains(
        &self,
        _: Request<ListChainsRequest>,
    ) -> Result<Response<ListChainsResponse>, Status> {
        let chains =
            self.look(|library| library.list().into_iter().map(of_entry).collect()).await?;
        Ok(Response::new(ListChainsResponse { chains }))
    }

    async fn get_chain(
        &self,
        request: Request<GetChainRequest>,
    ) -> Result<Response<GetChainResponse>, Status> {
        let name = request.into_inner().name;
        let found = self
            .look(move |library| {
                let (name, text) = library.read(&name)?;
                let entry = library.list().into_iter().find(|entry| entry.name == name);
                Ok::<_, LibraryError>((entry.map(of_entry), text))
            })
            .await?;
        match found {
            Ok((chain, text)) => Ok(Response::new(GetChainResponse { chain, text })),
            Err(error) => Err(of_library_error(&error)),
        }
    }

    async fn check_chain(
        &self,
        request: Request<CheckChainRequest>,
    ) -> Result<Response<CheckChainResponse>, Status> {
        let text = request.into_inner().text;
        if text.len() > MAX_CHAIN_BYTES {
            let what = format!("the chain's text has {} bytes", text.len());
            let remedy = format!("{MAX_CHAIN_BYTES} are the limit");
            return Err(refusal(Code::InvalidArgument, &what, &remedy));
        }
        let checked = self
            .look(move |library| {
                let file = ChainFile::parse("the chain", &text)?;
                library.check(&file)
            })
            .await?;
        let response = match checked {
            Ok(chain) => CheckChainResponse { chain: Some(of_chain(&chain)), faults: Vec::new() },
            Err(error) => CheckChainResponse { chain: None, faults: faults(&error) },
        };
        Ok(Response::new(response))
    }

    async fn list_gadgets(
        &self,
        _: Request<ListGadgetsRequest>,
    ) -> Result<Response<ListGadgetsResponse>, Status> {
        let gadgets = self.0.shared.chains.registry().iter().map(gadget).collect();
        Ok(Response::new(ListGadgetsResponse { gadgets }))
    }

    async fn describe_gadget(
        &self,
        request: Request<DescribeGadgetRequest>,
    ) -> Result<Response<DescribeGadgetResponse>, Status> {
        let name = request.into_inner().name;
        let registry = self.0.shared.chains.registry();
        let Some(entry) = registry.get(&name) else {
            let what =
                format!("there is no gadget {:?}", name.chars().take(80).collect::<String>());
            let remedy = match nearest(&name, registry.iter().map(|entry| entry.name)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "ListGadgets names those that there are".to_owned(),
            };
            return Err(refusal(Code::NotFound, &what, &remedy));
        };
        let schema = entry.schema_value();
        Ok(Response::new(DescribeGadgetResponse {
            gadget: Some(gadget(entry)),
            properties: properties(&schema),
            json_schema: schema.to_string(),
        }))
    }
}

fn of_entry(entry: ChainEntry) -> proto::Chain {
    let mut chain = match &entry.chain {
        Ok(chain) => of_chain(chain),
        Err(error) => proto::Chain { error: error.to_string(), ..proto::Chain::default() },
    };
    chain.name = entry.name;
    chain.is_built_in = entry.is_built_in;
    chain
}

fn of_chain(chain: &Chain) -> proto::Chain {
    proto::Chain {
        name: chain.name.clone(),
        description: chain.description.clone().unwrap_or_default(),
        gadgets: chain.gadget_names().into_iter().map(str::to_owned).collect(),
        ..proto::Chain::default()
    }
}

fn of_library_error(error: &LibraryError) -> Status {
    let code = match error {
        LibraryError::BadName(_) => Code::InvalidArgument,
        LibraryError::Unknown { .. } => Code::NotFound,
        LibraryError::Unreadable { .. } | LibraryError::Faulty(_) => Code::FailedPrecondition,
    };
    Status::new(code, error.to_string())
}

fn faults(error: &ChainError) -> Vec<proto::ChainFault> {
    let fault = |fault: &pipeline::chain::ChainFault| proto::ChainFault {
        line: fault.line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0),
        what: fault.what.clone(),
        remedy: fault.remedy.clone(),
    };
    error.faults.iter().map(fault).collect()
}

fn gadget(entry: &GadgetEntry) -> proto::Gadget {
    proto::Gadget {
        name: entry.name.to_owned(),
        aliases: entry.aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        input: entry.input.to_string(),
        output: entry.output.to_string(),
    }
}

/// The properties of a JSON Schema, in its order.
fn properties(schema: &Value) -> Vec<proto::Property> {
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let property = |(name, about): (&String, &Value)| proto::Property {
        name: name.clone(),
        description: about["description"].as_str().unwrap_or_default().to_owned(),
        r#type: kind(about, schema),
        default_value: match &about["default"] {
            Value::Null => String::new(),
            value => value.to_string(),
        },
    };
    properties.iter().map(property).collect()
}

/// The type of a property in words.
fn kind(about: &Value, schema: &Value) -> String {
    let joined = |values: &Vec<Value>| {
        let words: Vec<_> = values.iter().map(|value| kind_of_part(value, schema)).collect();
        words.join(" or ")
    };
    match (&about["type"], &about["enum"]) {
        (_, Value::Array(choices)) => {
            choices.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ")
        }
        (Value::String(kind), _) => kind.clone(),
        (Value::Array(kinds), _) => joined(kinds),
        _ => ["anyOf", "oneOf", "allOf"]
            .iter()
            .find_map(|key| about[*key].as_array().map(joined))
            .unwrap_or_else(|| reference(about, schema)),
    }
}

fn kind_of_part(value: &Value, schema: &Value) -> String {
    match value {
        Value::String(kind) => kind.clone(),
        Value::Object(part) if part.contains_key("const") => part["const"].to_string(),
        other => kind(other, schema),
    }
}

/// A definition elsewhere in the schema.
fn reference(about: &Value, schema: &Value) -> String {
    let Some(path) = about["$ref"].as_str().and_then(|path| path.strip_prefix('#')) else {
        return "any".to_owned();
    };
    match schema.pointer(path) {
        // A definition that stands for itself would have no end.
        Some(definition) if definition.get("$ref").is_none() => kind(definition, schema),
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn properties_are_told_with_type_and_default() {
        let schema = json!({
            "properties": {
                "a": { "type": "number", "description": "What it is.", "default": 1.5 },
                "b": { "type": ["string", "null"], "default": null },
                "c": { "$ref": "#/$defs/C", "default": "x" },
                "d": { "anyOf": [{ "$ref": "#/$defs/C" }, { "type": "null" }] },
            },
            "$defs": { "C": { "oneOf": [{ "const": "x" }, { "enum": ["y", "z"] }] } },
        });
        let told: Vec<_> = properties(&schema)
            .into_iter()
            .map(|property| (property.name, property.r#type, property.default_value))
            .collect();
        let expected = [
            ("a", "number", "1.5"),
            ("b", "string or null", ""),
            ("c", "\"x\" or \"y\" or \"z\"", "\"x\""),
            ("d", "\"x\" or \"y\" or \"z\" or null", ""),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(told, expected);
    }
}
