/** Which PyPI wheels carry libtensorflow, pinned by version and sha256 (of PyPI's files, read 2026-11-21). */

/** One wheel. The Python tag is pinned too: only the C libraries are used, so the local Python does not matter. */
export interface Wheel {
  project: string;
  version: string;
  sha256: string;
  /** pip's --platform tags that match the pinned file. */
  platforms: readonly string[];
  megabytes: number;
}

/** What to fetch for one kind of machine. */
export interface WheelSet {
  /** Names the cache folder. */
  name: string;
  device: 'cpu' | 'gpu';
  tensorflow: string;
  wheels: readonly Wheel[];
  /** Disk that must be free to begin: the wheels, and their content beside them until they are deleted. */
  megabytesNeeded: number;
}

const x64 = ['manylinux_2_27_x86_64', 'manylinux2014_x86_64'];
const arm64 = ['manylinux_2_27_aarch64'];

const cpuX64: WheelSet = {
  name: 'wheel-2.21.0-cpu-x64',
  device: 'cpu',
  tensorflow: '2.21.0',
  megabytesNeeded: 1400,
  wheels: [
    wheel('tensorflow-cpu', '2.21.0', 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb', x64, 274),
  ],
};

const cpuArm64: WheelSet = {
  name: 'wheel-2.21.0-cpu-arm64',
  device: 'cpu',
  tensorflow: '2.21.0',
  megabytesNeeded: 1400,
  wheels: [
    wheel('tensorflow', '2.21.0', 'b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552', arm64, 280),
  ],
};

/** `tensorflow[and-cuda]`: the CUDA 12 libraries are wheels too, so only a driver must be installed. */
const gpuX64: WheelSet = {
  name: 'wheel-2.21.0-gpu-x64',
  device: 'gpu',
  tensorflow: '2.21.0',
  megabytesNeeded: 9000,
  wheels: [
    wheel('tensorflow', '2.21.0', 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0', x64, 573),
    nvidia('cublas', '12.9.3.13', 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72', 580),
    nvidia('cuda-cupti', '12.8.90', 'ea0cb07ebda26bb9b29ba82cda34849e73c166c18162d3913575b0c9db9a6182', 10),
    nvidia('cuda-nvcc', '12.9.86', '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0', 40),
    nvidia('cuda-nvrtc', '12.9.86', '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4', 90),
    nvidia('cuda-runtime', '12.9.79', '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3', 4),
    nvidia('cudnn', '9.28.0.42', '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375', 650),
    nvidia('cufft', '11.4.1.4', 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28', 200),
    nvidia('curand', '10.3.10.19', '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e', 70),
    nvidia('cusolver', '11.7.5.82', '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88', 340),
    nvidia('cusparse', '12.5.10.65', '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78', 370),
    nvidia('nccl', '2.32.3', 'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c', 320),
    nvidia('nvjitlink', '12.9.86', 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9', 40),
  ],
};

/**
 * The sets worth trying on a machine, best first: CUDA where there is an NVIDIA driver, then the CPU. Empty where no
 * wheel carries the C library under these names (macOS, Windows, other processors).
 */
export function wheelSetsFor(platform: string, arch: string, nvidiaDriver: boolean): WheelSet[] {
  if (platform !== 'linux') return [];
  if (arch === 'x64') return nvidiaDriver ? [gpuX64, cpuX64] : [cpuX64];
  return arch === 'arm64' ? [cpuArm64] : [];
}

/** pip's requirements file: pip refuses any file with another hash. */
export function requirements(wheels: readonly Wheel[]): string {
  return wheels.map(({ project, version, sha256 }) => `${project}==${version} --hash=sha256:${sha256}\n`).join('');
}

function wheel(
  project: string,
  version: string,
  sha256: string,
  platforms: readonly string[],
  megabytes: number,
): Wheel {
  return { project, version, sha256, platforms, megabytes };
}

function nvidia(part: string, version: string, sha256: string, megabytes: number): Wheel {
  return wheel(`nvidia-${part}-cu12`, version, sha256, x64, megabytes);
}
