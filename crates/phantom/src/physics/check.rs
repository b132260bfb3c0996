//! Refuses blocks that no scanner could play.

use super::block::{BalancedTrain, Block, SpoiledTrain, Startup};

/// A block that cannot be played.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("block {block} of the sequence: {fault}")]
pub struct TimelineError {
    /// Which one, from 0.
    pub block: usize,
    /// What is wrong with it.
    pub fault: BlockFault,
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BlockFault {
    /// A number is outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// An echo that the next pulse would cut off.
    #[error("the echo at {echo_time_ms} ms comes after the repetition of {repetition_time_ms} ms")]
    EchoAfterRepetition {
        /// From the pulse to the echo.
        echo_time_ms: f64,
        /// From the pulse to the next.
        repetition_time_ms: f64,
    },
    /// Echo times that do not ascend.
    #[error(
        "the echo at {echo_time_ms} ms comes after that at {previous_ms} ms; list them ascending"
    )]
    EchoesNotAscending {
        /// The earlier one in the list.
        previous_ms: f64,
        /// The one that follows it.
        echo_time_ms: f64,
    },
    /// More pulses without a recording than pulses.
    #[error("{n_dummies} of {n_pulses} pulses are not to be recorded")]
    MoreDummiesThanPulses {
        /// Pulses at the start that are not recorded.
        n_dummies: usize,
        /// All pulses.
        n_pulses: usize,
    },
    /// A start-up by a ramp of no pulses.
    #[error("a ramp of no pulses; it has 1 or more")]
    EmptyRamp,
}

/// A number is outside its range, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{name} is {value}; it lies between {min} and {max}")]
pub struct OutOfRange {
    /// The field.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// The least that makes sense.
    pub min: f64,
    /// The most that makes sense.
    pub max: f64,
}

/// An hour: longer than any pause of a scan.
const LONGEST_MS: f64 = 3_600_000.0;

/// A microsecond: pulses that follow one another take time.
const SHORTEST_REPETITION_MS: f64 = 0.001;

/// Whether the blocks can be played.
///
/// # Errors
/// [`TimelineError`] names the first block that cannot, and why.
pub fn check(blocks: &[Block]) -> Result<(), TimelineError> {
    blocks
        .iter()
        .enumerate()
        .try_for_each(|(block, it)| fault_of(it).map_err(|fault| TimelineError { block, fault }))
}

fn fault_of(block: &Block) -> Result<(), BlockFault> {
    match block {
        Block::Wait { duration_ms } => within("duration_ms", *duration_ms, 0.0, LONGEST_MS)?,
        Block::Inversion { factor } => within("factor", *factor, -1.0, 1.0)?,
        Block::Saturation { residual } => within("residual", *residual, -1.0, 1.0)?,
        Block::T2Preparation { echo_time_ms, efficiency, offset } => {
            within("echo_time_ms", *echo_time_ms, 0.0, LONGEST_MS)?;
            within("efficiency", *efficiency, -1.0, 1.0)?;
            within("offset", *offset, -1.0, 1.0)?;
        }
        Block::BalancedTrain(train) => fault_of_balanced(train)?,
        Block::SpoiledTrain(train) => fault_of_spoiled(train)?,
        Block::SpinEcho { echo_time_ms } => within("echo_time_ms", *echo_time_ms, 0.0, LONGEST_MS)?,
        Block::StimulatedEcho { echo_time_ms, mixing_time_ms } => {
            within("echo_time_ms", *echo_time_ms, 0.0, LONGEST_MS)?;
            within("mixing_time_ms", *mixing_time_ms, 0.0, LONGEST_MS)?;
        }
    }
    Ok(())
}

fn fault_of_balanced(train: &BalancedTrain) -> Result<(), BlockFault> {
    within("flip_angle_deg", train.flip_angle_deg, 0.0, 180.0)?;
    within("repetition_time_ms", train.repetition_time_ms, SHORTEST_REPETITION_MS, LONGEST_MS)?;
    if train.startup == Startup::Ramp(0) {
        return Err(BlockFault::EmptyRamp);
    }
    fault_of_echo(train.echo_time_ms, train.repetition_time_ms)
}

fn fault_of_spoiled(train: &SpoiledTrain) -> Result<(), BlockFault> {
    for flip_angle_deg in &train.flip_angles_deg {
        within("flip_angles_deg", *flip_angle_deg, -360.0, 360.0)?;
    }
    within("repetition_time_ms", train.repetition_time_ms, SHORTEST_REPETITION_MS, LONGEST_MS)?;
    let n_pulses = train.flip_angles_deg.len();
    if train.n_dummies > n_pulses {
        return Err(BlockFault::MoreDummiesThanPulses { n_dummies: train.n_dummies, n_pulses });
    }
    for (index, echo_time_ms) in train.echo_times_ms.iter().copied().enumerate() {
        fault_of_echo(echo_time_ms, train.repetition_time_ms)?;
        if let Some(&previous_ms) = index.checked_sub(1).and_then(|n| train.echo_times_ms.get(n))
            && echo_time_ms <= previous_ms
        {
            return Err(BlockFault::EchoesNotAscending { previous_ms, echo_time_ms });
        }
    }
    Ok(())
}

fn fault_of_echo(echo_time_ms: f64, repetition_time_ms: f64) -> Result<(), BlockFault> {
    within("echo_time_ms", echo_time_ms, 0.0, LONGEST_MS)?;
    if echo_time_ms > repetition_time_ms {
        return Err(BlockFault::EchoAfterRepetition { echo_time_ms, repetition_time_ms });
    }
    Ok(())
}

/// Whether `value` of the field `name` lies between `min` and `max`.
pub(super) fn within(name: &'static str, value: f64, min: f64, max: f64) -> Result<(), OutOfRange> {
    // Not-a-number is in no range.
    if (min..=max).contains(&value) { Ok(()) } else { Err(OutOfRange { name, value, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::Spoiling;

    fn balanced() -> BalancedTrain {
        BalancedTrain {
            flip_angle_deg: 35.0,
            repetition_time_ms: 2.7,
            echo_time_ms: 1.35,
            n_echoes: 66,
            startup: Startup::Ramp(5),
        }
    }

    fn spoiled() -> SpoiledTrain {
        SpoiledTrain {
            flip_angles_deg: vec![12.0; 4],
            repetition_time_ms: 20.0,
            echo_times_ms: vec![2.0, 4.0, 6.0],
            spoiling: Spoiling::Ideal,
            n_dummies: 4,
        }
    }

    #[test]
    fn sound_blocks_pass() {
        let blocks = [
            Block::Wait { duration_ms: 0.0 },
            Block::Inversion { factor: 0.96 },
            Block::Saturation { residual: 0.0 },
            Block::T2Preparation { echo_time_ms: 55.0, efficiency: 0.95, offset: 0.5 },
            Block::BalancedTrain(balanced()),
            Block::SpoiledTrain(spoiled()),
            Block::SpinEcho { echo_time_ms: 60.0 },
            Block::StimulatedEcho { echo_time_ms: 30.0, mixing_time_ms: 1000.0 },
        ];
        assert_eq!(check(&blocks), Ok(()));
    }

    #[test]
    fn the_first_impossible_block_is_named_with_its_fault() {
        let blocks = [
            Block::Inversion { factor: 1.0 },
            Block::Wait { duration_ms: -1.0 },
            Block::Wait { duration_ms: f64::NAN },
        ];
        let error = check(&blocks).expect_err("a negative wait");
        assert_eq!(error.block, 1);
        assert_eq!(
            error.to_string(),
            "block 1 of the sequence: duration_ms is -1; it lies between 0 and 3600000"
        );
    }

    #[test]
    fn what_no_scanner_could_play_is_refused() {
        let impossible = [
            Block::Wait { duration_ms: f64::NAN },
            Block::Wait { duration_ms: f64::INFINITY },
            Block::Inversion { factor: 1.2 },
            Block::Saturation { residual: f64::NAN },
            Block::T2Preparation { echo_time_ms: -5.0, efficiency: 1.0, offset: 0.0 },
            Block::T2Preparation { echo_time_ms: 5.0, efficiency: 1.0, offset: f64::NAN },
            Block::BalancedTrain(BalancedTrain { echo_time_ms: 2.8, ..balanced() }),
            Block::BalancedTrain(BalancedTrain { startup: Startup::Ramp(0), ..balanced() }),
            Block::BalancedTrain(BalancedTrain { flip_angle_deg: -3.0, ..balanced() }),
            Block::BalancedTrain(BalancedTrain { repetition_time_ms: f64::NAN, ..balanced() }),
            Block::BalancedTrain(BalancedTrain {
                repetition_time_ms: 0.0,
                echo_time_ms: 0.0,
                ..balanced()
            }),
            Block::SpoiledTrain(SpoiledTrain { n_dummies: 5, ..spoiled() }),
            Block::SpoiledTrain(SpoiledTrain { echo_times_ms: vec![4.0, 2.0], ..spoiled() }),
            Block::SpoiledTrain(SpoiledTrain { echo_times_ms: vec![21.0], ..spoiled() }),
            Block::SpoiledTrain(SpoiledTrain { flip_angles_deg: vec![f64::NAN; 5], ..spoiled() }),
            Block::SpinEcho { echo_time_ms: -60.0 },
            Block::StimulatedEcho { echo_time_ms: 30.0, mixing_time_ms: -1.0 },
        ];
        for block in impossible {
            assert!(check(std::slice::from_ref(&block)).is_err(), "{block:?}");
        }
    }
}
