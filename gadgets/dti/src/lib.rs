//! Diffusion tensor imaging of the heart: from repeated diffusion-weighted images to maps of
//! diffusivity, anisotropy and the direction of fibres and sheetlets.
