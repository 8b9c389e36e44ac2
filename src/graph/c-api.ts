/** TensorFlow's C API: graphs and sessions of the very library that the addon has loaded. tfjs itself offers neither. */
import { errorMessage, LaneError } from '../errors.ts';
import { defineStruct, loadKoffi } from '../tensor/native-library.ts';

/** A pointer into the library. */
export type Pointer = unknown;

/** TF_Output: one output of one operation. */
export interface RawOutput {
  readonly oper: Pointer;
  readonly index: number;
}

type Call<Arguments extends unknown[], Result> = ((...args: Arguments) => Result) & {
  async(...args: [...Arguments, (error: Error | null, result: Result) => void]): void;
};

/** The functions used here, named as in tensorflow/c/c_api.h without their prefix. */
export interface CApi {
  /** Throws what the last call with this status reported. */
  check(status?: Pointer): void;
  /** Of all calls that make graphs and sessions. Calls that run them have their own: others are made meanwhile. */
  readonly status: Pointer;
  /** Copies bytes between host arrays and native memory. A view of it (koffi.view) would keep that memory for good. */
  copy(to: Pointer | NodeJS.TypedArray, from: Pointer | NodeJS.TypedArray, bytes: number): void;
  NewStatus: Call<[], Pointer>;
  DeleteStatus: Call<[Pointer], void>;
  NewGraph: Call<[], Pointer>;
  NewOperation: Call<[Pointer, string, string], Pointer>;
  AddInput: Call<[Pointer, RawOutput], void>;
  AddInputList: Call<[Pointer, readonly RawOutput[], number], void>;
  AddControlInput: Call<[Pointer, Pointer], void>;
  SetAttrType: Call<[Pointer, string, number], void>;
  SetAttrTypeList: Call<[Pointer, string, readonly number[], number], void>;
  SetAttrInt: Call<[Pointer, string, number], void>;
  SetAttrIntList: Call<[Pointer, string, readonly number[], number], void>;
  SetAttrFloat: Call<[Pointer, string, number], void>;
  SetAttrBool: Call<[Pointer, string, number], void>;
  SetAttrString: Call<[Pointer, string, Buffer, number], void>;
  SetAttrShape: Call<[Pointer, string, readonly number[], number], void>;
  SetAttrTensor: Call<[Pointer, string, Pointer, Pointer], void>;
  FinishOperation: Call<[Pointer, Pointer], Pointer>;
  OperationNumOutputs: Call<[Pointer], number>;
  OperationOutputType: Call<[RawOutput], number>;
  GraphGetTensorNumDims: Call<[Pointer, RawOutput, Pointer], number>;
  GraphGetTensorShape: Call<[Pointer, RawOutput, BigInt64Array, number, Pointer], void>;
  GraphSetTensorShape: Call<[Pointer, RawOutput, readonly number[], number, Pointer], void>;
  NewSessionOptions: Call<[], Pointer>;
  SetConfig: Call<[Pointer, Buffer, number, Pointer], void>;
  NewSession: Call<[Pointer, Pointer, Pointer], Pointer>;
  CloseSession: Call<[Pointer, Pointer], void>;
  DeleteSession: Call<[Pointer, Pointer], void>;
  DeleteGraph: Call<[Pointer], void>;
  SessionRun: Call<
    [
      session: Pointer,
      options: null,
      inputs: readonly RawOutput[],
      values: readonly Pointer[],
      inputCount: number,
      outputs: readonly RawOutput[],
      results: Pointer[],
      outputCount: number,
      targets: readonly Pointer[],
      targetCount: number,
      metadata: null,
      status: Pointer,
    ],
    void
  >;
  AllocateTensor: Call<[number, readonly number[], number, number], Pointer>;
  TensorData: Call<[Pointer], Pointer>;
  TensorByteSize: Call<[Pointer], number>;
  DeleteTensor: Call<[Pointer], void>;
}

const SIGNATURES: Readonly<Record<Exclude<keyof CApi, 'check' | 'status' | 'copy'>, string>> = {
  NewStatus: 'void* TF_NewStatus()',
  DeleteStatus: 'void TF_DeleteStatus(void*)',
  NewGraph: 'void* TF_NewGraph()',
  NewOperation: 'void* TF_NewOperation(void*, const char*, const char*)',
  AddInput: 'void TF_AddInput(void*, TF_Output)',
  AddInputList: 'void TF_AddInputList(void*, const TF_Output*, int)',
  AddControlInput: 'void TF_AddControlInput(void*, void*)',
  SetAttrType: 'void TF_SetAttrType(void*, const char*, int)',
  SetAttrTypeList: 'void TF_SetAttrTypeList(void*, const char*, const int*, int)',
  SetAttrInt: 'void TF_SetAttrInt(void*, const char*, int64_t)',
  SetAttrIntList: 'void TF_SetAttrIntList(void*, const char*, const int64_t*, int)',
  SetAttrFloat: 'void TF_SetAttrFloat(void*, const char*, float)',
  SetAttrBool: 'void TF_SetAttrBool(void*, const char*, uint8_t)',
  SetAttrString: 'void TF_SetAttrString(void*, const char*, const void*, size_t)',
  SetAttrShape: 'void TF_SetAttrShape(void*, const char*, const int64_t*, int)',
  SetAttrTensor: 'void TF_SetAttrTensor(void*, const char*, void*, void*)',
  FinishOperation: 'void* TF_FinishOperation(void*, void*)',
  OperationNumOutputs: 'int TF_OperationNumOutputs(void*)',
  OperationOutputType: 'int TF_OperationOutputType(TF_Output)',
  GraphGetTensorNumDims: 'int TF_GraphGetTensorNumDims(void*, TF_Output, void*)',
  GraphGetTensorShape: 'void TF_GraphGetTensorShape(void*, TF_Output, int64_t*, int, void*)',
  GraphSetTensorShape: 'void TF_GraphSetTensorShape(void*, TF_Output, const int64_t*, int, void*)',
  NewSessionOptions: 'void* TF_NewSessionOptions()',
  SetConfig: 'void TF_SetConfig(void*, const void*, size_t, void*)',
  NewSession: 'void* TF_NewSession(void*, void*, void*)',
  CloseSession: 'void TF_CloseSession(void*, void*)',
  DeleteSession: 'void TF_DeleteSession(void*, void*)',
  DeleteGraph: 'void TF_DeleteGraph(void*)',
  SessionRun:
    'void TF_SessionRun(void*, const void*, const TF_Output*, void**, int, const TF_Output*, _Out_ void**, int, void**, int, void*, void*)',
  AllocateTensor: 'void* TF_AllocateTensor(int, const int64_t*, int, size_t)',
  TensorData: 'void* TF_TensorData(void*)',
  TensorByteSize: 'size_t TF_TensorByteSize(void*)',
  DeleteTensor: 'void TF_DeleteTensor(void*)',
};

/** By their names as shared objects: the loader gives what is in the process already, and never a second copy. */
const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow.so.2'];

/**
 * Opens the C API. The tensorflow lane must be open.
 * @throws LaneError where the library, or what calls it (koffi), is not there
 */
export function openCApi(): CApi {
  const refusals = new Set<string>();
  for (const library of LIBRARIES) {
    try {
      return bind(library);
    } catch (error) {
      refusals.add(errorMessage(error).split('\n', 1)[0] ?? '');
    }
  }
  throw new LaneError(
    `compiled steps: TensorFlow's C API could not be opened (${[...refusals].join('; ')}). Use runtime.compile: off, or run npm ci and npm run setup -- --again.`,
  );
}

function bind(name: string): CApi {
  const koffi = loadKoffi();
  const library = koffi.load(name);
  defineStruct(koffi, 'TF_Output', { oper: 'void*', index: 'int' });
  const code = library.func('int TF_GetCode(void*)');
  const message = library.func('const char* TF_Message(void*)');
  const functions = Object.fromEntries(
    Object.entries(SIGNATURES).map(([key, signature]) => [key, library.func(signature)]),
  ) as unknown as Omit<CApi, 'check' | 'status' | 'copy'>;
  const shared = functions.NewStatus();
  return {
    ...functions,
    status: shared,
    check: (status = shared) => {
      if (code(status) !== 0) throw new LaneError(`TensorFlow: ${message(status)}`);
    },
    copy: koffi.load(null).func('void* memcpy(void*, const void*, size_t)') as CApi['copy'],
  };
}
