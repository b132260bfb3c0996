//! Requests that wait for a model, in a fair order, and several of them as one.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use crate::lane::{Answer, Request};
use crate::manifest::{Axis, Manifest};
use crate::{InferenceError, Tensor};

/// Requests of one model that may wait.
const MAX_WAITING: usize = 64;

/// A request that waits.
pub struct Waiting {
    pub request: Request,
    pub since: Instant,
    pub deadline: Instant,
    pub reply: SyncSender<Result<Answer, InferenceError>>,
}

impl Waiting {
    /// Images along the first axis; as many as could be where there is none.
    fn n_images(&self) -> usize {
        let first = self.request.inputs.first();
        first.and_then(|(_, tensor)| tensor.shape().first().copied()).unwrap_or(usize::MAX)
    }
}

/// Requests that wait: sessions take turns, a session's own are answered in their order.
#[derive(Default)]
pub struct Queue {
    /// Requests by session, the session whose turn it is first.
    sessions: VecDeque<(u64, VecDeque<Waiting>)>,
    n_waiting: usize,
}

impl Queue {
    /// Adds a request; gives how many wait where these are too many already.
    pub fn push(&mut self, waiting: Waiting) -> Result<(), usize> {
        if self.n_waiting >= MAX_WAITING {
            return Err(self.n_waiting);
        }
        self.n_waiting += 1;
        let session = waiting.request.session;
        match self.sessions.iter_mut().find(|(known, _)| *known == session) {
            Some((_, queue)) => queue.push_back(waiting),
            None => self.sessions.push_back((session, VecDeque::from([waiting]))),
        }
        Ok(())
    }

    /// The oldest request of the session whose turn it is, and with it the next ones as long as
    /// they are of its kind and all have at most `max_batch` images together.
    pub fn next(&mut self, max_batch: usize) -> Option<Vec<Waiting>> {
        let first = self.take()?;
        let mut n_images = first.n_images();
        let mut batch = vec![first];
        while let Some(next) = self.sessions.front().and_then(|(_, queue)| queue.front()) {
            n_images = n_images.saturating_add(next.n_images());
            // Nobody's time is cut short by another's.
            let is_alike = batch.first().is_some_and(|first| {
                is_alike(&next.request.inputs, &first.request.inputs)
                    && next.deadline >= first.deadline
            });
            if n_images > max_batch || !is_alike {
                break;
            }
            batch.extend(self.take());
        }
        Some(batch)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.n_waiting == 0
    }

    /// Takes all.
    pub fn take_all(&mut self) -> Vec<Waiting> {
        self.n_waiting = 0;
        self.sessions.drain(..).flat_map(|(_, queue)| queue).collect()
    }

    /// The oldest request of the session whose turn it is; the session goes to the end.
    fn take(&mut self) -> Option<Waiting> {
        let (session, mut queue) = self.sessions.pop_front()?;
        let waiting = queue.pop_front();
        if !queue.is_empty() {
            self.sessions.push_back((session, queue));
        }
        if waiting.is_some() {
            self.n_waiting = self.n_waiting.saturating_sub(1);
        }
        waiting
    }
}

/// Whether all inputs and outputs have independent images along their first axis.
pub fn can_batch(manifest: &Manifest) -> bool {
    manifest.inputs.iter().all(|input| input.axes.first() == Some(&Axis::Batch))
        && manifest.outputs.iter().all(|output| output.axes.first() == Some(&Axis::Batch))
}

fn is_alike(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((name_a, a), (name_b, b))| {
            name_a == name_b
                && a.element_type() == b.element_type()
                && a.shape().get(1..) == b.shape().get(1..)
        })
}

/// The inputs of several requests in one; [`None`] for a single one.
pub fn stacked(batch: &[Waiting]) -> Option<Vec<(String, Tensor)>> {
    let first = batch.first().filter(|_| batch.len() > 1)?;
    let input = |index: usize, name: &str| {
        let parts: Option<Vec<&Tensor>> =
            batch.iter().map(|waiting| Some(&waiting.request.inputs.get(index)?.1)).collect();
        Some((name.to_owned(), Tensor::stack(&parts?)?))
    };
    first.request.inputs.iter().enumerate().map(|(index, (name, _))| input(index, name)).collect()
}

/// The outputs of one call for each of its requests.
pub fn parted(batch: &[Waiting], outputs: Vec<(String, Tensor)>) -> Vec<Vec<(String, Tensor)>> {
    if batch.len() <= 1 {
        return vec![outputs];
    }
    let mut start = 0;
    batch
        .iter()
        .map(|waiting| {
            let first = waiting.request.inputs.first();
            let len = first.and_then(|(_, tensor)| tensor.shape().first().copied()).unwrap_or(0);
            let part = |(name, tensor): &(String, Tensor)| {
                Some((name.clone(), tensor.part(start, start + len)?))
            };
            let parts = outputs.iter().filter_map(part).collect();
            start += len;
            parts
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(session: u64, shape: &[usize], value: f32) -> Waiting {
        let n = shape.iter().product();
        let tensor = Tensor::from_f32(shape, vec![value; n]).expect("as many elements");
        let request =
            Request { inputs: vec![("x".to_owned(), tensor)], session, ..Request::default() };
        let (reply, _) = std::sync::mpsc::sync_channel(1);
        let now = Instant::now();
        Waiting { request, since: now, deadline: now, reply }
    }

    fn queue(requests: impl IntoIterator<Item = Waiting>) -> Queue {
        let mut queue = Queue::default();
        requests.into_iter().for_each(|waiting| queue.push(waiting).expect("there is room"));
        queue
    }

    fn values(batch: &[Waiting]) -> Vec<f32> {
        batch.iter().map(|waiting| waiting.request.inputs[0].1.to_f32()[0]).collect()
    }

    #[test]
    fn a_session_with_many_requests_does_not_keep_another_waiting() {
        let shape = [1, 2];
        let mut queue = queue([
            waiting(7, &shape, 1.0),
            waiting(7, &shape, 2.0),
            waiting(7, &shape, 3.0),
            waiting(8, &shape, 10.0),
            waiting(9, &shape, 20.0),
        ]);
        let order: Vec<f32> =
            std::iter::from_fn(|| queue.next(1)).flat_map(|batch| values(&batch)).collect();
        assert_eq!(order, [1.0, 10.0, 20.0, 2.0, 3.0]);
    }

    #[test]
    fn requests_of_one_kind_are_answered_together_up_to_the_limit() {
        let mut queue = queue([
            waiting(1, &[1, 2], 1.0),
            waiting(2, &[2, 2], 2.0),
            waiting(3, &[2, 2], 3.0),
            waiting(4, &[1, 3], 4.0),
        ]);
        let batches: Vec<_> =
            std::iter::from_fn(|| queue.next(4)).map(|batch| values(&batch)).collect();
        assert_eq!(batches, [vec![1.0, 2.0], vec![3.0], vec![4.0]]);
    }

    #[test]
    fn each_request_of_a_batch_gets_its_own_part() {
        let batch = [waiting(1, &[1, 2], 1.0), waiting(2, &[2, 2], 2.0)];
        let inputs = stacked(&batch).expect("two of one kind");
        assert_eq!(inputs[0].1.shape(), [3, 2]);
        let parts = parted(&batch, inputs);
        let parts: Vec<_> = parts.iter().map(|outputs| outputs[0].1.to_f32()).collect();
        assert_eq!(parts, [vec![1.0; 2], vec![2.0; 4]]);
    }

    #[test]
    fn more_than_can_wait_are_turned_away() {
        let mut queue = queue((0..MAX_WAITING).map(|n| waiting(n as u64, &[1], 0.0)));
        assert_eq!(queue.push(waiting(0, &[1], 0.0)), Err(MAX_WAITING));
        assert_eq!(queue.take_all().len(), MAX_WAITING);
        assert!(queue.push(waiting(0, &[1], 0.0)).is_ok());
    }
}
