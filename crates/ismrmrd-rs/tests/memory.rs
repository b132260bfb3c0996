//! What a length claims costs no memory until the bytes are there. Alone in its program, because
//! the memory of the whole process is measured.

use bytes::BytesMut;
use ismrmrd::wire::{Decoder, Limits, Reader, encode};
use ismrmrd::{AcquisitionHeader, ImageHeader};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn message(id: u16, body: &[u8]) -> Vec<u8> {
    let mut stream = id.to_le_bytes().to_vec();
    stream.extend_from_slice(body);
    stream
}

/// Largest claims that each kind of message can make.
fn boasts() -> Vec<Vec<u8>> {
    let readout = AcquisitionHeader {
        number_of_samples: u16::MAX,
        active_channels: u16::MAX,
        trajectory_dimensions: u16::MAX,
        ..Default::default()
    };
    let image = ImageHeader {
        matrix_size: [u16::MAX; 3],
        channels: u16::MAX,
        data_type: 8,
        ..Default::default()
    };
    let mut waveform = [0_u8; 40];
    waveform[28..32].fill(0xff);
    let many = u64::MAX.to_le_bytes();
    let mut boasts = vec![
        message(1008, bytemuck::bytes_of(&readout)),
        message(1022, bytemuck::bytes_of(&image)),
        message(1026, &waveform),
        message(1030, &[8, 0, 1, 0, 2, 0].into_iter().chain(many).chain(many).collect::<Vec<_>>()),
        message(1050, &many.repeat(13)),
        message(1023, &many),
        message(1024, &[1_u64.to_le_bytes(), many].concat()),
        message(1023, &[1_u64.to_le_bytes(), 2_u64.to_le_bytes(), many, many].concat()),
    ];
    for id in [2, 3, 5, 1018] {
        boasts.push(message(id, &u32::MAX.to_le_bytes()));
    }
    for id in [6, 7, 8, 1019] {
        boasts.push(message(id, &many.repeat(3)));
    }
    boasts
}

#[test]
fn claims_cost_no_memory() {
    for stream in boasts() {
        // Nothing is refused for its size, then everything.
        for limits in [unlimited(), Limits::default()] {
            MEMORY.reset_peak_usage();
            let before = MEMORY.current_usage();
            let mut decoder = Decoder::new(limits.clone());
            let _ = decoder.decode(&mut BytesMut::from(&stream[..]));
            let used = MEMORY.peak_usage().saturating_sub(before);
            assert!(used < 16 << 10, "decoder: {used} bytes for {:?}", &stream[..2]);

            MEMORY.reset_peak_usage();
            let before = MEMORY.current_usage();
            let end = Reader::with_limits(&stream[..], limits).last();
            let used = MEMORY.peak_usage().saturating_sub(before);
            assert!(end.is_some_and(|end| end.is_err()));
            // The reader's buffer grows by 16 MiB at most before bytes arrive.
            assert!(used < 40 << 20, "reader: {used} bytes for {:?}", &stream[..2]);
        }
    }

    // A readout takes its own size once beside the stream.
    let readout = ismrmrd::Acquisition::new(
        AcquisitionHeader::default(),
        ndarray::Array2::zeros((128, 4096)),
    );
    let mut stream = BytesMut::new();
    encode(&readout.into(), &mut stream).unwrap();
    let n_bytes = stream.len();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let decoded = Decoder::default().decode(&mut stream).unwrap();
    let used = MEMORY.peak_usage().saturating_sub(before);
    assert!(decoded.is_some());
    assert!(used < n_bytes + 4096, "{used} bytes for a readout of {n_bytes}");
}

fn unlimited() -> Limits {
    Limits {
        max_text_bytes: usize::MAX,
        max_acquisition_bytes: usize::MAX,
        max_waveform_bytes: usize::MAX,
        max_image_bytes: usize::MAX,
        max_array_bytes: usize::MAX,
        max_blob_bytes: usize::MAX,
    }
}
