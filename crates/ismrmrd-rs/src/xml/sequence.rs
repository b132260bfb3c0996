//! `sequenceParameters`: times, angles and diffusion weighting.

use super::element::{element, enumeration};

element! {
    /// What the sequence does, one value per contrast, set or encoding.
    pub struct SequenceParameters {
        /// Repetition times, ms.
        tr: Vec<f32> = "TR",
        /// Echo times, ms.
        te: Vec<f32> = "TE",
        /// Inversion times, ms.
        ti: Vec<f32> = "TI",
        /// Flip angles, degrees.
        flip_angle_deg: Vec<f32> = "flipAngle_deg",
        /// Kind of sequence.
        sequence_type: Option<String> = "sequence_type",
        /// Time between the echoes of a train, ms.
        echo_spacing: Vec<f32> = "echo_spacing",
        /// Counter that numbers the diffusion weightings.
        diffusion_dimension: Option<DiffusionDimension> = "diffusionDimension",
        /// Diffusion weightings in the order of that counter.
        diffusion: Vec<Diffusion> = "diffusion",
        /// Kind of diffusion preparation.
        diffusion_scheme: Option<String> = "diffusionScheme",
    }
}

element! {
    /// One diffusion weighting.
    #[derive(Copy)]
    pub struct Diffusion {
        /// Direction of the gradient.
        gradient_direction: GradientDirection = "gradientDirection",
        /// Weighting, s/mm².
        bvalue: f32 = "bvalue",
    }
}

element! {
    /// Direction of a diffusion gradient in the patient's axes.
    #[derive(Copy)]
    pub struct GradientDirection {
        /// Right to left.
        rl: f32 = "rl",
        /// Anterior to posterior.
        ap: f32 = "ap",
        /// Feet to head.
        fh: f32 = "fh",
    }
}

enumeration! {
    /// Counter that numbers the diffusion weightings.
    pub enum DiffusionDimension {
        /// Average.
        Average = "average",
        /// Contrast.
        Contrast = "contrast",
        /// Cardiac phase.
        Phase = "phase",
        /// Repetition.
        Repetition = "repetition",
        /// Set.
        Set = "set",
        /// Segment.
        Segment = "segment",
        /// User counter 0.
        User0 = "user_0",
        /// User counter 1.
        User1 = "user_1",
        /// User counter 2.
        User2 = "user_2",
        /// User counter 3.
        User3 = "user_3",
        /// User counter 4.
        User4 = "user_4",
        /// User counter 5.
        User5 = "user_5",
        /// User counter 6.
        User6 = "user_6",
        /// User counter 7.
        User7 = "user_7",
    }
}
