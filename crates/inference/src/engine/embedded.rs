//! The runtime in this program: tract, in pure Rust.

use std::collections::VecDeque;
use std::sync::Arc;

use tract_onnx::prelude as tract;
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, IntoTValue};

use super::EngineError;
use crate::tensor::{Elements, for_all};
use crate::{ElementType, Tensor};

/// Its name and version.
pub(super) const NAME: &str = "tract 0.23";
/// Networks made for the shapes of a call are kept, so many of them.
const MAX_SHAPES: usize = 4;

/// Type and shape of each input, in the model's order.
type Key = Vec<(ElementType, Vec<usize>)>;

/// A network in tract. It is made anew for each set of shapes: with axes whose length is open,
/// tract knows less about a network, refuses many, and is slower.
pub(super) struct EmbeddedEngine {
    model: tract::InferenceModel,
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// The one that was used last is at the end.
    ready: VecDeque<(Key, Arc<tract::TypedRunnableModel>)>,
}

impl EmbeddedEngine {
    /// Reads a model.
    pub fn load(model: &[u8]) -> Result<Self, EngineError> {
        let fail = |error: tract::TractError| EngineError::Model(words(&error));
        let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
        let model = onnx.model_for_read(&mut &*model).map_err(fail)?;
        let names = |outlets: &[tract::OutletId]| -> Vec<String> {
            let name = |outlet: &tract::OutletId| match model.outlet_label(*outlet) {
                Some(label) => label.to_owned(),
                None => model.node(outlet.node).name.clone(),
            };
            outlets.iter().map(name).collect()
        };
        let inputs = names(model.input_outlets().map_err(fail)?);
        let outputs = names(model.output_outlets().map_err(fail)?);
        Ok(Self { model, inputs, outputs, ready: VecDeque::new() })
    }

    /// As [`super::Engine::run`].
    pub fn run(
        &mut self,
        inputs: &[(String, Tensor)],
    ) -> Result<Vec<(String, Tensor)>, EngineError> {
        let fail = |error: tract::TractError| EngineError::Call(words(&error));
        let mut ordered = Vec::with_capacity(self.inputs.len());
        for name in &self.inputs {
            let found = inputs.iter().find(|(given, _)| given == name);
            let missing = || EngineError::Call(format!("input `{name}` is missing"));
            ordered.push(&found.ok_or_else(missing)?.1);
        }
        let network = self.network(&ordered)?;
        let values: Result<_, _> = ordered.iter().map(|tensor| input_value(tensor)).collect();
        let results = network.run(values.map_err(fail)?).map_err(fail)?;
        let named = self.outputs.iter().zip(results);
        named
            .map(|(name, value)| Ok((name.clone(), output_tensor(&value).map_err(fail)?)))
            .collect()
    }

    /// The network for inputs of these shapes.
    fn network(
        &mut self,
        inputs: &[&Tensor],
    ) -> Result<Arc<tract::TypedRunnableModel>, EngineError> {
        let key: Key =
            inputs.iter().map(|tensor| (tensor.element_type(), tensor.shape().to_vec())).collect();
        if let Some(place) = self.ready.iter().position(|(known, _)| *known == key)
            && let Some(found) = self.ready.remove(place)
        {
            let network = found.1.clone();
            self.ready.push_back(found);
            return Ok(network);
        }
        let fail = |error: tract::TractError| EngineError::Model(words(&error));
        let mut model = self.model.clone();
        for (place, (element_type, shape)) in key.iter().enumerate() {
            let fact = tract::InferenceFact::dt_shape(datum_type(*element_type), &**shape);
            model = model.with_input_fact(place, fact).map_err(fail)?;
        }
        let network = model.into_optimized().and_then(IntoRunnable::into_runnable).map_err(fail)?;
        if self.ready.len() == MAX_SHAPES {
            self.ready.pop_front();
        }
        self.ready.push_back((key, network.clone()));
        Ok(network)
    }
}

/// An error with its causes in one line.
fn words(error: &tract::TractError) -> String {
    let words: Vec<String> = error.chain().map(ToString::to_string).collect();
    words.join(": ").replace('\n', " ")
}

fn datum_type(element_type: ElementType) -> tract::DatumType {
    match element_type {
        ElementType::F32 => tract::DatumType::F32,
        ElementType::F64 => tract::DatumType::F64,
        ElementType::U8 => tract::DatumType::U8,
        ElementType::I32 => tract::DatumType::I32,
        ElementType::I64 => tract::DatumType::I64,
    }
}

fn input_value(tensor: &Tensor) -> tract::TractResult<tract::TValue> {
    Ok(for_all!(tensor.elements(), values => {
        tract::Tensor::from_shape(tensor.shape(), values)?.into_tvalue()
    }))
}

fn output_tensor(value: &tract::Tensor) -> tract::TractResult<Tensor> {
    fn of<T: tract::Datum + Clone>(
        value: &tract::Tensor,
        elements: impl Fn(Vec<T>) -> Elements,
    ) -> tract::TractResult<Tensor> {
        let values = value.to_plain_array_view::<T>()?.iter().cloned().collect();
        Ok(Tensor::new(value.shape(), elements(values))?)
    }
    match value.datum_type() {
        tract::DatumType::F32 => of(value, Elements::F32),
        tract::DatumType::F64 => of(value, Elements::F64),
        tract::DatumType::U8 => of(value, Elements::U8),
        tract::DatumType::I32 => of(value, Elements::I32),
        tract::DatumType::I64 => of(value, Elements::I64),
        other => Err(tract::TractError::msg(format!("an output has elements of type {other:?}"))),
    }
}
