// Code generated via abigen V2 - DO NOT EDIT.
// This file is a generated binding and any manual changes will be lost.

package loganchor

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Reference imports to suppress errors if they are not otherwise used.
var (
	_ = bytes.Equal
	_ = errors.New
	_ = big.NewInt
	_ = common.Big1
	_ = types.BloomLookup
	_ = abi.ConvertType
)

// ILogAnchorLogState is an auto generated low-level Go binding around an user-defined struct.
type ILogAnchorLogState struct {
	Guardian        common.Address
	PendingHeadKey  common.Address
	RotationReadyAt uint64
	Predecessor     [32]byte
	Successor       [32]byte
	LastGoodSize    uint64
	LastGoodRoot    [32]byte
}

// ILogAnchorSignedHead is an auto generated low-level Go binding around an user-defined struct.
type ILogAnchorSignedHead struct {
	LogId     [32]byte
	Size      uint64
	Root      [32]byte
	Proof     [][32]byte
	Signature []byte
}

// LogAnchorMetaData contains all meta data concerning the LogAnchor contract.
var LogAnchorMetaData = bind.MetaData{
	ABI: "[{\"type\":\"constructor\",\"inputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"ROTATION_DELAY\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"uint64\",\"internalType\":\"uint64\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"anchor\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"proof\",\"type\":\"bytes32[]\",\"internalType\":\"bytes32[]\"},{\"name\":\"signature\",\"type\":\"bytes\",\"internalType\":\"bytes\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"anchorMany\",\"inputs\":[{\"name\":\"heads\",\"type\":\"tuple[]\",\"internalType\":\"structILogAnchor.SignedHead[]\",\"components\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"proof\",\"type\":\"bytes32[]\",\"internalType\":\"bytes32[]\"},{\"name\":\"signature\",\"type\":\"bytes\",\"internalType\":\"bytes\"}]}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"cancelHeadKey\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"eip712Domain\",\"inputs\":[],\"outputs\":[{\"name\":\"fields\",\"type\":\"bytes1\",\"internalType\":\"bytes1\"},{\"name\":\"name\",\"type\":\"string\",\"internalType\":\"string\"},{\"name\":\"version\",\"type\":\"string\",\"internalType\":\"string\"},{\"name\":\"chainId\",\"type\":\"uint256\",\"internalType\":\"uint256\"},{\"name\":\"verifyingContract\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"salt\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"extensions\",\"type\":\"uint256[]\",\"internalType\":\"uint256[]\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"freeze\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"hashTreeHead\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[{\"name\":\"digest\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"head\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"headKey\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"maxGrowth\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"frozen\",\"type\":\"bool\",\"internalType\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"isPastHead\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"path\",\"type\":\"bytes32[]\",\"internalType\":\"bytes32[]\"}],\"outputs\":[{\"name\":\"past\",\"type\":\"bool\",\"internalType\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"logIdOf\",\"inputs\":[{\"name\":\"registrant\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"originLine\",\"type\":\"string\",\"internalType\":\"string\"}],\"outputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"stateMutability\":\"pure\"},{\"type\":\"function\",\"name\":\"logState\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[{\"name\":\"state\",\"type\":\"tuple\",\"internalType\":\"structILogAnchor.LogState\",\"components\":[{\"name\":\"guardian\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"pendingHeadKey\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"rotationReadyAt\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"predecessor\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"successor\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"lastGoodSize\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"lastGoodRoot\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"proposeHeadKey\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"newKey\",\"type\":\"address\",\"internalType\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"recordLastGoodHead\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"path\",\"type\":\"bytes32[]\",\"internalType\":\"bytes32[]\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"register\",\"inputs\":[{\"name\":\"originLine\",\"type\":\"string\",\"internalType\":\"string\"},{\"name\":\"headKey\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"guardian\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"maxGrowth\",\"type\":\"uint64\",\"internalType\":\"uint64\"}],\"outputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"registerSuccessor\",\"inputs\":[{\"name\":\"predecessorId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"originLine\",\"type\":\"string\",\"internalType\":\"string\"},{\"name\":\"headKey\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"guardian\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"maxGrowth\",\"type\":\"uint64\",\"internalType\":\"uint64\"}],\"outputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"rotateHeadKey\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"verifyInclusion\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"leafHash\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"index\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"proof\",\"type\":\"bytes32[]\",\"internalType\":\"bytes32[]\"}],\"outputs\":[{\"name\":\"included\",\"type\":\"bool\",\"internalType\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"event\",\"name\":\"HeadAnchored\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"indexed\":false,\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"indexed\":false,\"internalType\":\"bytes32\"}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"HeadKeyProposalCancelled\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"proposedKey\",\"type\":\"address\",\"indexed\":true,\"internalType\":\"address\"}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"HeadKeyProposed\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"proposedKey\",\"type\":\"address\",\"indexed\":true,\"internalType\":\"address\"},{\"name\":\"readyAt\",\"type\":\"uint64\",\"indexed\":false,\"internalType\":\"uint64\"}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"HeadKeyRotated\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"previousKey\",\"type\":\"address\",\"indexed\":true,\"internalType\":\"address\"},{\"name\":\"newKey\",\"type\":\"address\",\"indexed\":true,\"internalType\":\"address\"}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"LastGoodHeadRecorded\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"indexed\":false,\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"indexed\":false,\"internalType\":\"bytes32\"}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"LogFrozen\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"indexed\":false,\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"indexed\":false,\"internalType\":\"bytes32\"}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"LogRegistered\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"registrant\",\"type\":\"address\",\"indexed\":true,\"internalType\":\"address\"},{\"name\":\"originLine\",\"type\":\"string\",\"indexed\":false,\"internalType\":\"string\"},{\"name\":\"headKey\",\"type\":\"address\",\"indexed\":false,\"internalType\":\"address\"},{\"name\":\"guardian\",\"type\":\"address\",\"indexed\":false,\"internalType\":\"address\"},{\"name\":\"maxGrowth\",\"type\":\"uint64\",\"indexed\":false,\"internalType\":\"uint64\"}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"LogSucceeded\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"successorId\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"indexed\":false,\"internalType\":\"uint64\"},{\"name\":\"root\",\"type\":\"bytes32\",\"indexed\":false,\"internalType\":\"bytes32\"}],\"anonymous\":false},{\"type\":\"error\",\"name\":\"LogAnchorAlreadySucceeded\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"successorId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"LogAnchorConflictingRoot\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"currentRoot\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"LogAnchorFrozen\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"LogAnchorGrowthExceeded\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"currentSize\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"}]},{\"type\":\"error\",\"name\":\"LogAnchorInconsistent\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"firstSize\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"secondSize\",\"type\":\"uint64\",\"internalType\":\"uint64\"}]},{\"type\":\"error\",\"name\":\"LogAnchorInvalidGuardian\",\"inputs\":[{\"name\":\"guardian\",\"type\":\"address\",\"internalType\":\"address\"}]},{\"type\":\"error\",\"name\":\"LogAnchorInvalidHeadKey\",\"inputs\":[{\"name\":\"headKey\",\"type\":\"address\",\"internalType\":\"address\"}]},{\"type\":\"error\",\"name\":\"LogAnchorInvalidMaxGrowth\",\"inputs\":[{\"name\":\"maxGrowth\",\"type\":\"uint64\",\"internalType\":\"uint64\"}]},{\"type\":\"error\",\"name\":\"LogAnchorInvalidOrigin\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"LogAnchorInvalidSignature\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"LogAnchorLogExists\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"LogAnchorNoProposal\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"LogAnchorNotFrozen\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"LogAnchorRotationNotReady\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"readyAt\",\"type\":\"uint64\",\"internalType\":\"uint64\"}]},{\"type\":\"error\",\"name\":\"LogAnchorSha256Unavailable\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"LogAnchorStaleSize\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"currentSize\",\"type\":\"uint64\",\"internalType\":\"uint64\"},{\"name\":\"size\",\"type\":\"uint64\",\"internalType\":\"uint64\"}]},{\"type\":\"error\",\"name\":\"LogAnchorUnauthorized\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"account\",\"type\":\"address\",\"internalType\":\"address\"}]},{\"type\":\"error\",\"name\":\"LogAnchorUnknownLog\",\"inputs\":[{\"name\":\"logId\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"RFC9162HashFailed\",\"inputs\":[]}]",
	ID:  "LogAnchor",
	Bin: "0x60c060405234801561000f575f5ffd5b506040517fe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855906002906020815f81855afa15801561004f573d5f5f3e3d5ffd5b5050506040513d601f19601f820116820180604052508101906100729190610174565b146100905760405163aa2b03bb60e01b815260040160405180910390fd5b4660805261016c604080518082018252600e81526d2bb934ba102637b3a0b731b437b960911b6020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fba1204a4a971b9f0ba26b53f727d9b979622f7de171ac1eb0c5caa03e4d96546818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b60a05261018b565b5f60208284031215610184575f5ffd5b5051919050565b60805160a05161272c6101ac5f395f611a6601525f61193d015261272c5ff3fe608060405234801561000f575f5ffd5b5060043610610115575f3560e01c8063747baa6e116100ad57806398825cb01161007d578063ec13cc7b11610063578063ec13cc7b14610260578063eecac1b714610273578063f339e3b21461031b575f5ffd5b806398825cb01461023a578063ae5bd8011461024d575f5ffd5b8063747baa6e146101e65780637d6af86b146101f957806384b0196e1461020c578063950e592a14610227575f5ffd5b80635d522149116100e85780635d5221491461016757806361852f751461018f5780636a5e40fc146101a25780636d8d0c91146101c3575f5ffd5b806335561f2e14610119578063457377f41461012e5780635127acf114610141578063563fef7714610154575b5f5ffd5b61012c610127366004611fa7565b610380565b005b61012c61013c366004612039565b610398565b61012c61014f366004612078565b610410565b61012c6101623660046120b2565b61046d565b61017a6101753660046120dc565b6105ec565b60405190151581526020015b60405180910390f35b61017a61019d36600461213f565b610620565b6101b56101b0366004612185565b610648565b604051908152602001610186565b6101cd6202a30081565b60405167ffffffffffffffff9091168152602001610186565b61012c6101f436600461213f565b61067e565b61012c610207366004612078565b6107de565b610214610913565b6040516101869796959493929190612220565b6101b56102353660046122df565b610a05565b6101b5610248366004612358565b610b0d565b6101b561025b36600461238b565b610bd6565b61012c61026e366004612078565b610c10565b610286610281366004612078565b610d3f565b60405161018691905f60e08201905073ffffffffffffffffffffffffffffffffffffffff835116825273ffffffffffffffffffffffffffffffffffffffff602084015116602083015267ffffffffffffffff6040840151166040830152606083015160608301526080830151608083015267ffffffffffffffff60a08401511660a083015260c083015160c083015292915050565b61032e610329366004612078565b610e17565b6040805167ffffffffffffffff9687168152602081019590955273ffffffffffffffffffffffffffffffffffffffff90931692840192909252929092166060820152901515608082015260a001610186565b61038f87878787878787610e90565b50505050505050565b5f5b8181101561040b57368383838181106103b5576103b56123fc565b90506020028101906103c79190612429565b905061040281356103de6040840160208501612465565b60408401356103f0606086018661247e565b6103fd60808801886124e2565b610e90565b5060010161039a565b505050565b5f61041a82611257565b905061042682826112ba565b73ffffffffffffffffffffffffffffffffffffffff16827f627c80e910515ccbdbd5069af7c89c0646fc7ee97d828b7c024d1bba2da080ec60405160405180910390a35050565b5f61047783611257565b90506104838233611369565b600181015473ffffffffffffffffffffffffffffffffffffffff6c01000000000000000000000000909104811690831603610507576040517f7dca679800000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff831660048201526024015b60405180910390fd5b5f6105156202a30042612570565b6003830180547fffffffffffffffffffffffff00000000000000000000000000000000000000001673ffffffffffffffffffffffffffffffffffffffff86169081179091556002840180547fffffffff0000000000000000ffffffffffffffffffffffffffffffffffffffff167401000000000000000000000000000000000000000067ffffffffffffffff8516908102919091179091556040519081529192509085907f3d2ae15f1d5ac95dd77487311047e019e09890e9f3a23645db66e01f58ca2c399060200160405180910390a350505050565b5f5f5f6105f88861140a565b91509150610614878767ffffffffffffffff168484898961147c565b98975050505050505050565b5f5f5f61062c8861140a565b915091506106148767ffffffffffffffff1687848489896115b7565b5f83838360405160200161065e939291906125dd565b6040516020818303038152906040528051906020012090505b9392505050565b5f61068886611625565b600381015490915074010000000000000000000000000000000000000000900465ffffffffffff1667ffffffffffffffff8616811115806106ec57506106ea8667ffffffffffffffff16868367ffffffffffffffff16856004015488886115b7565b155b1561073e576040517f7e21fb580000000000000000000000000000000000000000000000000000000081526004810188905267ffffffffffffffff8088166024830152821660448201526064016104fe565b6003820180547fffffffffffff000000000000ffffffffffffffffffffffffffffffffffffffff167401000000000000000000000000000000000000000065ffffffffffff891602179055600482018590556040805167ffffffffffffffff881681526020810187905288917f6060b235a430d51a6711c07aa955d781dca89c496245ff1f704a6735969e16d2910160405180910390a250505050505050565b5f6107e882611257565b600281015490915074010000000000000000000000000000000000000000900467ffffffffffffffff164281111561085f576040517fc124138d0000000000000000000000000000000000000000000000000000000081526004810184905267ffffffffffffffff821660248201526044016104fe565b60018201546c01000000000000000000000000900473ffffffffffffffffffffffffffffffffffffffff165f61089585856112ba565b60018501805473ffffffffffffffffffffffffffffffffffffffff8084166c0100000000000000000000000081026bffffffffffffffffffffffff90931692909217909255604051929350919084169087907f8ed632b950860b5dcccb244bda767df43adb8375d403cc6f00390cf582294619905f90a45050505050565b5f6060805f5f5f60606040518060400160405280600e81526020017f57726974204c6f67416e63686f720000000000000000000000000000000000008152506040518060400160405280600181526020017f310000000000000000000000000000000000000000000000000000000000000081525046305f5f1b5f67ffffffffffffffff8111156109a6576109a6612615565b6040519080825280602002602001820160405280156109cf578160200160208202803683370190505b507f0f000000000000000000000000000000000000000000000000000000000000009d959c50939a509198509650945092509050565b5f5f610a1088611625565b6003810154600482015491925074010000000000000000000000000000000000000000900465ffffffffffff1690610a4d898989898987876116ce565b5f81815260208181526040918290206005018d905560068601839055815165ffffffffffff8616815290810184905291955085918c917f57045c44ec7c63e415a7bb1a5fd2df341de1ed68eedf4083c8bbef1b42340ed6910160405180910390a365ffffffffffff821615610b00576040805165ffffffffffff841681526020810183905285917f5e3f85a9626fb512ee9528b7bf29b228f5958af5f0f1f10da79c5f604e5c90a7910160405180910390a25b5050509695505050505050565b604080517f877ae5021798514388e0bdca5eedb4539883e55b5c47edb43eefcc6ac77940df602082015290810184905267ffffffffffffffff83166060820152608081018290525f90819060a001604051602081830303815290604052805190602001209050610b7b61193a565b6040517f19010000000000000000000000000000000000000000000000000000000000006020820152602281019190915260428101829052606201604051602081830303815290604052805190602001209150509392505050565b5f610c068686868686867fe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8556116ce565b9695505050505050565b5f610c1a82611257565b6001810180546b0100000000000000000000007fffffffffffffffffffffffffffffffffffffffff00ffffffffffffffffffffff8216179091556003820180548354600485018190557fffffffffffff000000000000000000000000000000000000000000000000000090911665ffffffffffff9093167401000000000000000000000000000000000000000081027fffffffffffffffffffffffff000000000000000000000000000000000000000016939093179091556002830180547fffffffff0000000000000000ffffffffffffffffffffffffffffffffffffffff16905560408051928352602083019190915291925083917f3fe551b8075860a6816360060d7c8429d373b3f183c3380fe68264cab5acdb8e910160405180910390a25050565b6040805160e0810182525f80825260208201819052918101829052606081018290526080810182905260a0810182905260c0810182905290610d8083611a88565b6040805160e081018252600283015473ffffffffffffffffffffffffffffffffffffffff808216835260038501549081166020840152740100000000000000000000000000000000000000009182900467ffffffffffffffff1693830193909352600584015460608301526006840154608083015290910465ffffffffffff1660a082015260049091015460c08201529392505050565b5f5f5f5f5f5f610e2687611a88565b6001810154905465ffffffffffff8216999098506c01000000000000000000000000820473ffffffffffffffffffffffffffffffffffffffff1697506601000000000000820464ffffffffff1696506b01000000000000000000000090910460ff16945092505050565b5f8781526020819052604090206001810154815473ffffffffffffffffffffffffffffffffffffffff6c010000000000000000000000008304169165ffffffffffff169082610f0e576040517ff9b30bd5000000000000000000000000000000000000000000000000000000008152600481018c90526024016104fe565b60018401546b010000000000000000000000900460ff1615610f5f576040517f4ace4d9b000000000000000000000000000000000000000000000000000000008152600481018c90526024016104fe565b8167ffffffffffffffff168a67ffffffffffffffff161015610fc8576040517f1dd740f0000000000000000000000000000000000000000000000000000000008152600481018c905267ffffffffffffffff80841660248301528b1660448201526064016104fe565b8167ffffffffffffffff168a67ffffffffffffffff16036110465780891461103d576040517ffc98a1af000000000000000000000000000000000000000000000000000000008152600481018c905267ffffffffffffffff8b16602482015260448101829052606481018a90526084016104fe565b5050505061038f565b66010000000000008a67ffffffffffffffff1610158061108d575060018401546601000000000000900464ffffffffff16611081838c612642565b67ffffffffffffffff16115b156110df576040517f38b12b73000000000000000000000000000000000000000000000000000000008152600481018c905267ffffffffffffffff80841660248301528b1660448201526064016104fe565b8273ffffffffffffffffffffffffffffffffffffffff1661110b6111048d8d8d610b0d565b8888611af9565b73ffffffffffffffffffffffffffffffffffffffff161461115b576040517f12cc5d89000000000000000000000000000000000000000000000000000000008152600481018c90526024016104fe565b61117d8267ffffffffffffffff16828c67ffffffffffffffff168c8c8c6115b7565b6111ce576040517f7e21fb58000000000000000000000000000000000000000000000000000000008152600481018c905267ffffffffffffffff80841660248301528b1660448201526064016104fe565b8884556001840180547fffffffffffffffffffffffffffffffffffffffffffffffffffff0000000000001665ffffffffffff8c161790556040805167ffffffffffffffff8c168152602081018b90528c917f5e3f85a9626fb512ee9528b7bf29b228f5958af5f0f1f10da79c5f604e5c90a7910160405180910390a25050505050505050505050565b5f61126182611c09565b60018101549091506b010000000000000000000000900460ff16156112b5576040517f4ace4d9b000000000000000000000000000000000000000000000000000000008152600481018390526024016104fe565b919050565b600381015473ffffffffffffffffffffffffffffffffffffffff168061130f576040517fc337a0ff000000000000000000000000000000000000000000000000000000008152600481018490526024016104fe565b6003820180547fffffffffffffffffffffffff0000000000000000000000000000000000000000169055600290910180547fffffffff0000000000000000ffffffffffffffffffffffffffffffffffffffff169055919050565b73ffffffffffffffffffffffffffffffffffffffff821615806113b757508073ffffffffffffffffffffffffffffffffffffffff168273ffffffffffffffffffffffffffffffffffffffff16145b15611406576040517f7dca679800000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff831660048201526024016104fe565b5050565b5f5f5f61141684611a88565b60018101549091506b010000000000000000000000900460ff1661144b576001810154815465ffffffffffff90911690611468565b8060030160149054906101000a900465ffffffffffff1681600401545b65ffffffffffff9091169590945092505050565b5f84861061148b57505f610c06565b60408051600180825291601f820191602081019101868b8b7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff8c015b818114611511576001821680156114e457843587528386526114ec565b838752843586525b5060205f60418960025afa5f51981697602094909401939250600191821c911c6114c7565b505b8015611561578235855281845260205f60418860025afa5f519716966020939093019291507fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff810116611513565b508760051b890182148a82141696505050505050806115ac576040517f896dfa4a00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b509695505050505050565b5f8487036115d35783861480156115cc575081155b9050610c06565b865f0361160c577fe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855861480156115cc5750508015610c06565b61161a878787878787611c72565b979650505050505050565b5f61162f82611c09565b60018101549091506b010000000000000000000000900460ff16611682576040517fe6d7e5fc000000000000000000000000000000000000000000000000000000008152600481018390526024016104fe565b6006810154156112b55760068101546040517f957db1880000000000000000000000000000000000000000000000000000000081526104fe918491600401918252602082015260400190565b5f6116d98888611e22565b73ffffffffffffffffffffffffffffffffffffffff851661173e576040517f64e906aa00000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff861660048201526024016104fe565b6117488686611369565b67ffffffffffffffff8416158061176d575064ffffffffff67ffffffffffffffff8516115b156117b0576040517f6edd1fc400000000000000000000000000000000000000000000000000000000815267ffffffffffffffff851660048201526024016104fe565b6117bb338989610648565b5f8181526020819052604090206001810154919250906c01000000000000000000000000900473ffffffffffffffffffffffffffffffffffffffff1615611831576040517f116f5950000000000000000000000000000000000000000000000000000000008152600481018390526024016104fe565b82815560018101805465ffffffffffff86167fffffffffffffffffffffffffffffffffffffffffff000000000000000000000090911617660100000000000064ffffffffff881602176bffffffffffffffffffffffff166c0100000000000000000000000073ffffffffffffffffffffffffffffffffffffffff8a811691909102919091179091556002820180547fffffffffffffffffffffffff000000000000000000000000000000000000000016918816919091179055604051339083907f455d747ab64bb2734cf831df84558d1ba88d02994a71b771e0e135d08102e46790611926908d908d908d908d908d90612662565b60405180910390a350979650505050505050565b5f7f00000000000000000000000000000000000000000000000000000000000000004614611a635750604080518082018252600e81527f57726974204c6f67416e63686f7200000000000000000000000000000000000060209182015281518083018352600181527f31000000000000000000000000000000000000000000000000000000000000009082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fba1204a4a971b9f0ba26b53f727d9b979622f7de171ac1eb0c5caa03e4d96546818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b507f000000000000000000000000000000000000000000000000000000000000000090565b5f81815260208190526040902060018101546c01000000000000000000000000900473ffffffffffffffffffffffffffffffffffffffff166112b5576040517ff9b30bd5000000000000000000000000000000000000000000000000000000008152600481018390526024016104fe565b5f60418214611b0957505f610677565b5f611b186040602085876126c9565b611b21916126f0565b90507f7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0811115611b54575f915050610677565b60018585856040818110611b6a57611b6a6123fc565b919091013560f81c9050611b8160205f888a6126c9565b611b8a916126f0565b604080515f8152602081018083529490945260ff9092169183019190915260608201526080810183905260a0016020604051602081039080840390855afa158015611bd7573d5f5f3e3d5ffd5b50506040517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe001519695505050505050565b5f611c1382611a88565b600281015490915073ffffffffffffffffffffffffffffffffffffffff1633146112b5576040517f1bdda4c7000000000000000000000000000000000000000000000000000000008152600481018390523360248201526044016104fe565b5f861580611c805750848710155b15611c8c57505f610c06565b60405160018082526060820181905290601f01845f8a90038a167fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff89810182900491908c01048a8115611ce157506020830192355b8060218601525b818314611d5e57600182168015611d2357843560018701528435606187015281608187015260206021870160418860025afa87169650611d31565b816061870152843560818701525b5060205f60416060880160025afa861695505f5190506020840193508160011c91508260011c9250611ce8565b60818501525b8015611dcd57823560018501528235606185015260206021850160418660025afa8516945060206081850160416060870160025afa90941693602092909201917fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff810116611d64565b50508460051b86018114876081840151148a602185015114161693505050806115ac576040517f896dfa4a00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b801580611e2f575060ff81115b15611e66576040517f85c7b79e00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f5b8181101561040b57828282818110611e8257611e826123fc565b909101357fff00000000000000000000000000000000000000000000000000000000000000167f0a00000000000000000000000000000000000000000000000000000000000000039050611f02576040517f85c7b79e00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b600101611e68565b803567ffffffffffffffff811681146112b5575f5ffd5b5f5f83601f840112611f31575f5ffd5b50813567ffffffffffffffff811115611f48575f5ffd5b6020830191508360208260051b8501011115611f62575f5ffd5b9250929050565b5f5f83601f840112611f79575f5ffd5b50813567ffffffffffffffff811115611f90575f5ffd5b602083019150836020828501011115611f62575f5ffd5b5f5f5f5f5f5f5f60a0888a031215611fbd575f5ffd5b87359650611fcd60208901611f0a565b955060408801359450606088013567ffffffffffffffff811115611fef575f5ffd5b611ffb8a828b01611f21565b909550935050608088013567ffffffffffffffff81111561201a575f5ffd5b6120268a828b01611f69565b989b979a50959850939692959293505050565b5f5f6020838503121561204a575f5ffd5b823567ffffffffffffffff811115612060575f5ffd5b61206c85828601611f21565b90969095509350505050565b5f60208284031215612088575f5ffd5b5035919050565b803573ffffffffffffffffffffffffffffffffffffffff811681146112b5575f5ffd5b5f5f604083850312156120c3575f5ffd5b823591506120d36020840161208f565b90509250929050565b5f5f5f5f5f608086880312156120f0575f5ffd5b853594506020860135935061210760408701611f0a565b9250606086013567ffffffffffffffff811115612122575f5ffd5b61212e88828901611f21565b969995985093965092949392505050565b5f5f5f5f5f60808688031215612153575f5ffd5b8535945061216360208701611f0a565b935060408601359250606086013567ffffffffffffffff811115612122575f5ffd5b5f5f5f60408486031215612197575f5ffd5b6121a08461208f565b9250602084013567ffffffffffffffff8111156121bb575f5ffd5b6121c786828701611f69565b9497909650939450505050565b5f81518084528060208401602086015e5f6020828601015260207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f83011685010191505092915050565b7fff000000000000000000000000000000000000000000000000000000000000008816815260e060208201525f61225a60e08301896121d4565b828103604084015261226c81896121d4565b6060840188905273ffffffffffffffffffffffffffffffffffffffff8716608085015260a0840186905283810360c0850152845180825260208087019350909101905f5b818110156122ce5783518352602093840193909201916001016122b0565b50909b9a5050505050505050505050565b5f5f5f5f5f5f60a087890312156122f4575f5ffd5b86359550602087013567ffffffffffffffff811115612311575f5ffd5b61231d89828a01611f69565b909650945061233090506040880161208f565b925061233e6060880161208f565b915061234c60808801611f0a565b90509295509295509295565b5f5f5f6060848603121561236a575f5ffd5b8335925061237a60208501611f0a565b929592945050506040919091013590565b5f5f5f5f5f6080868803121561239f575f5ffd5b853567ffffffffffffffff8111156123b5575f5ffd5b6123c188828901611f69565b90965094506123d490506020870161208f565b92506123e26040870161208f565b91506123f060608701611f0a565b90509295509295909350565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52603260045260245ffd5b5f82357fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff6183360301811261245b575f5ffd5b9190910192915050565b5f60208284031215612475575f5ffd5b61067782611f0a565b5f5f83357fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe18436030181126124b1575f5ffd5b83018035915067ffffffffffffffff8211156124cb575f5ffd5b6020019150600581901b3603821315611f62575f5ffd5b5f5f83357fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe1843603018112612515575f5ffd5b83018035915067ffffffffffffffff82111561252f575f5ffd5b602001915036819003821315611f62575f5ffd5b7f4e487b71000000000000000000000000000000000000000000000000000000005f52601160045260245ffd5b67ffffffffffffffff818116838216019081111561259057612590612543565b92915050565b81835281816020850137505f602082840101525f60207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f840116840101905092915050565b73ffffffffffffffffffffffffffffffffffffffff84168152604060208201525f61260c604083018486612596565b95945050505050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52604160045260245ffd5b67ffffffffffffffff828116828216039081111561259057612590612543565b608081525f612675608083018789612596565b905073ffffffffffffffffffffffffffffffffffffffff8516602083015273ffffffffffffffffffffffffffffffffffffffff8416604083015267ffffffffffffffff831660608301529695505050505050565b5f5f858511156126d7575f5ffd5b838611156126e3575f5ffd5b5050820193919092039150565b80356020831015612590577fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff602084900360031b1b169291505056",
}

// LogAnchor is an auto generated Go binding around an Ethereum contract.
type LogAnchor struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *LogAnchor) GetABI() abi.ABI {
	return c.abi
}

// NewLogAnchor creates a new instance of LogAnchor.
func NewLogAnchor() *LogAnchor {
	parsed, err := LogAnchorMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &LogAnchor{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *LogAnchor) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackROTATIONDELAY is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6d8d0c91.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function ROTATION_DELAY() view returns(uint64)
func (logAnchor *LogAnchor) PackROTATIONDELAY() []byte {
	enc, err := logAnchor.abi.Pack("ROTATION_DELAY")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackROTATIONDELAY is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6d8d0c91.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function ROTATION_DELAY() view returns(uint64)
func (logAnchor *LogAnchor) TryPackROTATIONDELAY() ([]byte, error) {
	return logAnchor.abi.Pack("ROTATION_DELAY")
}

// UnpackROTATIONDELAY is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x6d8d0c91.
//
// Solidity: function ROTATION_DELAY() view returns(uint64)
func (logAnchor *LogAnchor) UnpackROTATIONDELAY(data []byte) (uint64, error) {
	out, err := logAnchor.abi.Unpack("ROTATION_DELAY", data)
	if err != nil {
		return *new(uint64), err
	}
	out0 := *abi.ConvertType(out[0], new(uint64)).(*uint64)
	return out0, nil
}

// PackAnchor is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x35561f2e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function anchor(bytes32 logId, uint64 size, bytes32 root, bytes32[] proof, bytes signature) returns()
func (logAnchor *LogAnchor) PackAnchor(logId [32]byte, size uint64, root [32]byte, proof [][32]byte, signature []byte) []byte {
	enc, err := logAnchor.abi.Pack("anchor", logId, size, root, proof, signature)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAnchor is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x35561f2e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function anchor(bytes32 logId, uint64 size, bytes32 root, bytes32[] proof, bytes signature) returns()
func (logAnchor *LogAnchor) TryPackAnchor(logId [32]byte, size uint64, root [32]byte, proof [][32]byte, signature []byte) ([]byte, error) {
	return logAnchor.abi.Pack("anchor", logId, size, root, proof, signature)
}

// PackAnchorMany is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x457377f4.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function anchorMany((bytes32,uint64,bytes32,bytes32[],bytes)[] heads) returns()
func (logAnchor *LogAnchor) PackAnchorMany(heads []ILogAnchorSignedHead) []byte {
	enc, err := logAnchor.abi.Pack("anchorMany", heads)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAnchorMany is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x457377f4.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function anchorMany((bytes32,uint64,bytes32,bytes32[],bytes)[] heads) returns()
func (logAnchor *LogAnchor) TryPackAnchorMany(heads []ILogAnchorSignedHead) ([]byte, error) {
	return logAnchor.abi.Pack("anchorMany", heads)
}

// PackCancelHeadKey is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5127acf1.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function cancelHeadKey(bytes32 logId) returns()
func (logAnchor *LogAnchor) PackCancelHeadKey(logId [32]byte) []byte {
	enc, err := logAnchor.abi.Pack("cancelHeadKey", logId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackCancelHeadKey is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5127acf1.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function cancelHeadKey(bytes32 logId) returns()
func (logAnchor *LogAnchor) TryPackCancelHeadKey(logId [32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("cancelHeadKey", logId)
}

// PackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (logAnchor *LogAnchor) PackEip712Domain() []byte {
	enc, err := logAnchor.abi.Pack("eip712Domain")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackEip712Domain is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x84b0196e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (logAnchor *LogAnchor) TryPackEip712Domain() ([]byte, error) {
	return logAnchor.abi.Pack("eip712Domain")
}

// Eip712DomainOutput serves as a container for the return parameters of contract
// method Eip712Domain.
type Eip712DomainOutput struct {
	Fields            [1]byte
	Name              string
	Version           string
	ChainId           *big.Int
	VerifyingContract common.Address
	Salt              [32]byte
	Extensions        []*big.Int
}

// UnpackEip712Domain is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x84b0196e.
//
// Solidity: function eip712Domain() view returns(bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)
func (logAnchor *LogAnchor) UnpackEip712Domain(data []byte) (Eip712DomainOutput, error) {
	out, err := logAnchor.abi.Unpack("eip712Domain", data)
	outstruct := new(Eip712DomainOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Fields = *abi.ConvertType(out[0], new([1]byte)).(*[1]byte)
	outstruct.Name = *abi.ConvertType(out[1], new(string)).(*string)
	outstruct.Version = *abi.ConvertType(out[2], new(string)).(*string)
	outstruct.ChainId = abi.ConvertType(out[3], new(big.Int)).(*big.Int)
	outstruct.VerifyingContract = *abi.ConvertType(out[4], new(common.Address)).(*common.Address)
	outstruct.Salt = *abi.ConvertType(out[5], new([32]byte)).(*[32]byte)
	outstruct.Extensions = *abi.ConvertType(out[6], new([]*big.Int)).(*[]*big.Int)
	return *outstruct, nil
}

// PackFreeze is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xec13cc7b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function freeze(bytes32 logId) returns()
func (logAnchor *LogAnchor) PackFreeze(logId [32]byte) []byte {
	enc, err := logAnchor.abi.Pack("freeze", logId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackFreeze is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xec13cc7b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function freeze(bytes32 logId) returns()
func (logAnchor *LogAnchor) TryPackFreeze(logId [32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("freeze", logId)
}

// PackHashTreeHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x98825cb0.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function hashTreeHead(bytes32 logId, uint64 size, bytes32 root) view returns(bytes32 digest)
func (logAnchor *LogAnchor) PackHashTreeHead(logId [32]byte, size uint64, root [32]byte) []byte {
	enc, err := logAnchor.abi.Pack("hashTreeHead", logId, size, root)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHashTreeHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x98825cb0.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function hashTreeHead(bytes32 logId, uint64 size, bytes32 root) view returns(bytes32 digest)
func (logAnchor *LogAnchor) TryPackHashTreeHead(logId [32]byte, size uint64, root [32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("hashTreeHead", logId, size, root)
}

// UnpackHashTreeHead is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x98825cb0.
//
// Solidity: function hashTreeHead(bytes32 logId, uint64 size, bytes32 root) view returns(bytes32 digest)
func (logAnchor *LogAnchor) UnpackHashTreeHead(data []byte) ([32]byte, error) {
	out, err := logAnchor.abi.Unpack("hashTreeHead", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf339e3b2.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function head(bytes32 logId) view returns(uint64 size, bytes32 root, address headKey, uint64 maxGrowth, bool frozen)
func (logAnchor *LogAnchor) PackHead(logId [32]byte) []byte {
	enc, err := logAnchor.abi.Pack("head", logId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf339e3b2.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function head(bytes32 logId) view returns(uint64 size, bytes32 root, address headKey, uint64 maxGrowth, bool frozen)
func (logAnchor *LogAnchor) TryPackHead(logId [32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("head", logId)
}

// HeadOutput serves as a container for the return parameters of contract
// method Head.
type HeadOutput struct {
	Size      uint64
	Root      [32]byte
	HeadKey   common.Address
	MaxGrowth uint64
	Frozen    bool
}

// UnpackHead is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf339e3b2.
//
// Solidity: function head(bytes32 logId) view returns(uint64 size, bytes32 root, address headKey, uint64 maxGrowth, bool frozen)
func (logAnchor *LogAnchor) UnpackHead(data []byte) (HeadOutput, error) {
	out, err := logAnchor.abi.Unpack("head", data)
	outstruct := new(HeadOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.Size = *abi.ConvertType(out[0], new(uint64)).(*uint64)
	outstruct.Root = *abi.ConvertType(out[1], new([32]byte)).(*[32]byte)
	outstruct.HeadKey = *abi.ConvertType(out[2], new(common.Address)).(*common.Address)
	outstruct.MaxGrowth = *abi.ConvertType(out[3], new(uint64)).(*uint64)
	outstruct.Frozen = *abi.ConvertType(out[4], new(bool)).(*bool)
	return *outstruct, nil
}

// PackIsPastHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x61852f75.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isPastHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] path) view returns(bool past)
func (logAnchor *LogAnchor) PackIsPastHead(logId [32]byte, size uint64, root [32]byte, path [][32]byte) []byte {
	enc, err := logAnchor.abi.Pack("isPastHead", logId, size, root, path)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsPastHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x61852f75.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isPastHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] path) view returns(bool past)
func (logAnchor *LogAnchor) TryPackIsPastHead(logId [32]byte, size uint64, root [32]byte, path [][32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("isPastHead", logId, size, root, path)
}

// UnpackIsPastHead is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x61852f75.
//
// Solidity: function isPastHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] path) view returns(bool past)
func (logAnchor *LogAnchor) UnpackIsPastHead(data []byte) (bool, error) {
	out, err := logAnchor.abi.Unpack("isPastHead", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackLogIdOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6a5e40fc.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function logIdOf(address registrant, string originLine) pure returns(bytes32 logId)
func (logAnchor *LogAnchor) PackLogIdOf(registrant common.Address, originLine string) []byte {
	enc, err := logAnchor.abi.Pack("logIdOf", registrant, originLine)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackLogIdOf is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6a5e40fc.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function logIdOf(address registrant, string originLine) pure returns(bytes32 logId)
func (logAnchor *LogAnchor) TryPackLogIdOf(registrant common.Address, originLine string) ([]byte, error) {
	return logAnchor.abi.Pack("logIdOf", registrant, originLine)
}

// UnpackLogIdOf is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x6a5e40fc.
//
// Solidity: function logIdOf(address registrant, string originLine) pure returns(bytes32 logId)
func (logAnchor *LogAnchor) UnpackLogIdOf(data []byte) ([32]byte, error) {
	out, err := logAnchor.abi.Unpack("logIdOf", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackLogState is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xeecac1b7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function logState(bytes32 logId) view returns((address,address,uint64,bytes32,bytes32,uint64,bytes32) state)
func (logAnchor *LogAnchor) PackLogState(logId [32]byte) []byte {
	enc, err := logAnchor.abi.Pack("logState", logId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackLogState is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xeecac1b7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function logState(bytes32 logId) view returns((address,address,uint64,bytes32,bytes32,uint64,bytes32) state)
func (logAnchor *LogAnchor) TryPackLogState(logId [32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("logState", logId)
}

// UnpackLogState is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xeecac1b7.
//
// Solidity: function logState(bytes32 logId) view returns((address,address,uint64,bytes32,bytes32,uint64,bytes32) state)
func (logAnchor *LogAnchor) UnpackLogState(data []byte) (ILogAnchorLogState, error) {
	out, err := logAnchor.abi.Unpack("logState", data)
	if err != nil {
		return *new(ILogAnchorLogState), err
	}
	out0 := *abi.ConvertType(out[0], new(ILogAnchorLogState)).(*ILogAnchorLogState)
	return out0, nil
}

// PackProposeHeadKey is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x563fef77.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proposeHeadKey(bytes32 logId, address newKey) returns()
func (logAnchor *LogAnchor) PackProposeHeadKey(logId [32]byte, newKey common.Address) []byte {
	enc, err := logAnchor.abi.Pack("proposeHeadKey", logId, newKey)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProposeHeadKey is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x563fef77.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proposeHeadKey(bytes32 logId, address newKey) returns()
func (logAnchor *LogAnchor) TryPackProposeHeadKey(logId [32]byte, newKey common.Address) ([]byte, error) {
	return logAnchor.abi.Pack("proposeHeadKey", logId, newKey)
}

// PackRecordLastGoodHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x747baa6e.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function recordLastGoodHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] path) returns()
func (logAnchor *LogAnchor) PackRecordLastGoodHead(logId [32]byte, size uint64, root [32]byte, path [][32]byte) []byte {
	enc, err := logAnchor.abi.Pack("recordLastGoodHead", logId, size, root, path)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRecordLastGoodHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x747baa6e.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function recordLastGoodHead(bytes32 logId, uint64 size, bytes32 root, bytes32[] path) returns()
func (logAnchor *LogAnchor) TryPackRecordLastGoodHead(logId [32]byte, size uint64, root [32]byte, path [][32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("recordLastGoodHead", logId, size, root, path)
}

// PackRegister is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xae5bd801.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function register(string originLine, address headKey, address guardian, uint64 maxGrowth) returns(bytes32 logId)
func (logAnchor *LogAnchor) PackRegister(originLine string, headKey common.Address, guardian common.Address, maxGrowth uint64) []byte {
	enc, err := logAnchor.abi.Pack("register", originLine, headKey, guardian, maxGrowth)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRegister is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xae5bd801.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function register(string originLine, address headKey, address guardian, uint64 maxGrowth) returns(bytes32 logId)
func (logAnchor *LogAnchor) TryPackRegister(originLine string, headKey common.Address, guardian common.Address, maxGrowth uint64) ([]byte, error) {
	return logAnchor.abi.Pack("register", originLine, headKey, guardian, maxGrowth)
}

// UnpackRegister is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xae5bd801.
//
// Solidity: function register(string originLine, address headKey, address guardian, uint64 maxGrowth) returns(bytes32 logId)
func (logAnchor *LogAnchor) UnpackRegister(data []byte) ([32]byte, error) {
	out, err := logAnchor.abi.Unpack("register", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackRegisterSuccessor is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x950e592a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function registerSuccessor(bytes32 predecessorId, string originLine, address headKey, address guardian, uint64 maxGrowth) returns(bytes32 logId)
func (logAnchor *LogAnchor) PackRegisterSuccessor(predecessorId [32]byte, originLine string, headKey common.Address, guardian common.Address, maxGrowth uint64) []byte {
	enc, err := logAnchor.abi.Pack("registerSuccessor", predecessorId, originLine, headKey, guardian, maxGrowth)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRegisterSuccessor is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x950e592a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function registerSuccessor(bytes32 predecessorId, string originLine, address headKey, address guardian, uint64 maxGrowth) returns(bytes32 logId)
func (logAnchor *LogAnchor) TryPackRegisterSuccessor(predecessorId [32]byte, originLine string, headKey common.Address, guardian common.Address, maxGrowth uint64) ([]byte, error) {
	return logAnchor.abi.Pack("registerSuccessor", predecessorId, originLine, headKey, guardian, maxGrowth)
}

// UnpackRegisterSuccessor is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x950e592a.
//
// Solidity: function registerSuccessor(bytes32 predecessorId, string originLine, address headKey, address guardian, uint64 maxGrowth) returns(bytes32 logId)
func (logAnchor *LogAnchor) UnpackRegisterSuccessor(data []byte) ([32]byte, error) {
	out, err := logAnchor.abi.Unpack("registerSuccessor", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackRotateHeadKey is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d6af86b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function rotateHeadKey(bytes32 logId) returns()
func (logAnchor *LogAnchor) PackRotateHeadKey(logId [32]byte) []byte {
	enc, err := logAnchor.abi.Pack("rotateHeadKey", logId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRotateHeadKey is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d6af86b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function rotateHeadKey(bytes32 logId) returns()
func (logAnchor *LogAnchor) TryPackRotateHeadKey(logId [32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("rotateHeadKey", logId)
}

// PackVerifyInclusion is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5d522149.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function verifyInclusion(bytes32 logId, bytes32 leafHash, uint64 index, bytes32[] proof) view returns(bool included)
func (logAnchor *LogAnchor) PackVerifyInclusion(logId [32]byte, leafHash [32]byte, index uint64, proof [][32]byte) []byte {
	enc, err := logAnchor.abi.Pack("verifyInclusion", logId, leafHash, index, proof)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackVerifyInclusion is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x5d522149.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function verifyInclusion(bytes32 logId, bytes32 leafHash, uint64 index, bytes32[] proof) view returns(bool included)
func (logAnchor *LogAnchor) TryPackVerifyInclusion(logId [32]byte, leafHash [32]byte, index uint64, proof [][32]byte) ([]byte, error) {
	return logAnchor.abi.Pack("verifyInclusion", logId, leafHash, index, proof)
}

// UnpackVerifyInclusion is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x5d522149.
//
// Solidity: function verifyInclusion(bytes32 logId, bytes32 leafHash, uint64 index, bytes32[] proof) view returns(bool included)
func (logAnchor *LogAnchor) UnpackVerifyInclusion(data []byte) (bool, error) {
	out, err := logAnchor.abi.Unpack("verifyInclusion", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// LogAnchorHeadAnchored represents a HeadAnchored event raised by the LogAnchor contract.
type LogAnchorHeadAnchored struct {
	LogId [32]byte
	Size  uint64
	Root  [32]byte
	Raw   *types.Log // Blockchain specific contextual infos
}

const LogAnchorHeadAnchoredEventName = "HeadAnchored"

// ContractEventName returns the user-defined event name.
func (LogAnchorHeadAnchored) ContractEventName() string {
	return LogAnchorHeadAnchoredEventName
}

// UnpackHeadAnchoredEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event HeadAnchored(bytes32 indexed logId, uint64 size, bytes32 root)
func (logAnchor *LogAnchor) UnpackHeadAnchoredEvent(log *types.Log) (*LogAnchorHeadAnchored, error) {
	event := "HeadAnchored"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorHeadAnchored)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// LogAnchorHeadKeyProposalCancelled represents a HeadKeyProposalCancelled event raised by the LogAnchor contract.
type LogAnchorHeadKeyProposalCancelled struct {
	LogId       [32]byte
	ProposedKey common.Address
	Raw         *types.Log // Blockchain specific contextual infos
}

const LogAnchorHeadKeyProposalCancelledEventName = "HeadKeyProposalCancelled"

// ContractEventName returns the user-defined event name.
func (LogAnchorHeadKeyProposalCancelled) ContractEventName() string {
	return LogAnchorHeadKeyProposalCancelledEventName
}

// UnpackHeadKeyProposalCancelledEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event HeadKeyProposalCancelled(bytes32 indexed logId, address indexed proposedKey)
func (logAnchor *LogAnchor) UnpackHeadKeyProposalCancelledEvent(log *types.Log) (*LogAnchorHeadKeyProposalCancelled, error) {
	event := "HeadKeyProposalCancelled"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorHeadKeyProposalCancelled)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// LogAnchorHeadKeyProposed represents a HeadKeyProposed event raised by the LogAnchor contract.
type LogAnchorHeadKeyProposed struct {
	LogId       [32]byte
	ProposedKey common.Address
	ReadyAt     uint64
	Raw         *types.Log // Blockchain specific contextual infos
}

const LogAnchorHeadKeyProposedEventName = "HeadKeyProposed"

// ContractEventName returns the user-defined event name.
func (LogAnchorHeadKeyProposed) ContractEventName() string {
	return LogAnchorHeadKeyProposedEventName
}

// UnpackHeadKeyProposedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event HeadKeyProposed(bytes32 indexed logId, address indexed proposedKey, uint64 readyAt)
func (logAnchor *LogAnchor) UnpackHeadKeyProposedEvent(log *types.Log) (*LogAnchorHeadKeyProposed, error) {
	event := "HeadKeyProposed"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorHeadKeyProposed)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// LogAnchorHeadKeyRotated represents a HeadKeyRotated event raised by the LogAnchor contract.
type LogAnchorHeadKeyRotated struct {
	LogId       [32]byte
	PreviousKey common.Address
	NewKey      common.Address
	Raw         *types.Log // Blockchain specific contextual infos
}

const LogAnchorHeadKeyRotatedEventName = "HeadKeyRotated"

// ContractEventName returns the user-defined event name.
func (LogAnchorHeadKeyRotated) ContractEventName() string {
	return LogAnchorHeadKeyRotatedEventName
}

// UnpackHeadKeyRotatedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event HeadKeyRotated(bytes32 indexed logId, address indexed previousKey, address indexed newKey)
func (logAnchor *LogAnchor) UnpackHeadKeyRotatedEvent(log *types.Log) (*LogAnchorHeadKeyRotated, error) {
	event := "HeadKeyRotated"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorHeadKeyRotated)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// LogAnchorLastGoodHeadRecorded represents a LastGoodHeadRecorded event raised by the LogAnchor contract.
type LogAnchorLastGoodHeadRecorded struct {
	LogId [32]byte
	Size  uint64
	Root  [32]byte
	Raw   *types.Log // Blockchain specific contextual infos
}

const LogAnchorLastGoodHeadRecordedEventName = "LastGoodHeadRecorded"

// ContractEventName returns the user-defined event name.
func (LogAnchorLastGoodHeadRecorded) ContractEventName() string {
	return LogAnchorLastGoodHeadRecordedEventName
}

// UnpackLastGoodHeadRecordedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event LastGoodHeadRecorded(bytes32 indexed logId, uint64 size, bytes32 root)
func (logAnchor *LogAnchor) UnpackLastGoodHeadRecordedEvent(log *types.Log) (*LogAnchorLastGoodHeadRecorded, error) {
	event := "LastGoodHeadRecorded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorLastGoodHeadRecorded)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// LogAnchorLogFrozen represents a LogFrozen event raised by the LogAnchor contract.
type LogAnchorLogFrozen struct {
	LogId [32]byte
	Size  uint64
	Root  [32]byte
	Raw   *types.Log // Blockchain specific contextual infos
}

const LogAnchorLogFrozenEventName = "LogFrozen"

// ContractEventName returns the user-defined event name.
func (LogAnchorLogFrozen) ContractEventName() string {
	return LogAnchorLogFrozenEventName
}

// UnpackLogFrozenEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event LogFrozen(bytes32 indexed logId, uint64 size, bytes32 root)
func (logAnchor *LogAnchor) UnpackLogFrozenEvent(log *types.Log) (*LogAnchorLogFrozen, error) {
	event := "LogFrozen"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorLogFrozen)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// LogAnchorLogRegistered represents a LogRegistered event raised by the LogAnchor contract.
type LogAnchorLogRegistered struct {
	LogId      [32]byte
	Registrant common.Address
	OriginLine string
	HeadKey    common.Address
	Guardian   common.Address
	MaxGrowth  uint64
	Raw        *types.Log // Blockchain specific contextual infos
}

const LogAnchorLogRegisteredEventName = "LogRegistered"

// ContractEventName returns the user-defined event name.
func (LogAnchorLogRegistered) ContractEventName() string {
	return LogAnchorLogRegisteredEventName
}

// UnpackLogRegisteredEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event LogRegistered(bytes32 indexed logId, address indexed registrant, string originLine, address headKey, address guardian, uint64 maxGrowth)
func (logAnchor *LogAnchor) UnpackLogRegisteredEvent(log *types.Log) (*LogAnchorLogRegistered, error) {
	event := "LogRegistered"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorLogRegistered)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// LogAnchorLogSucceeded represents a LogSucceeded event raised by the LogAnchor contract.
type LogAnchorLogSucceeded struct {
	LogId       [32]byte
	SuccessorId [32]byte
	Size        uint64
	Root        [32]byte
	Raw         *types.Log // Blockchain specific contextual infos
}

const LogAnchorLogSucceededEventName = "LogSucceeded"

// ContractEventName returns the user-defined event name.
func (LogAnchorLogSucceeded) ContractEventName() string {
	return LogAnchorLogSucceededEventName
}

// UnpackLogSucceededEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event LogSucceeded(bytes32 indexed logId, bytes32 indexed successorId, uint64 size, bytes32 root)
func (logAnchor *LogAnchor) UnpackLogSucceededEvent(log *types.Log) (*LogAnchorLogSucceeded, error) {
	event := "LogSucceeded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != logAnchor.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(LogAnchorLogSucceeded)
	if len(log.Data) > 0 {
		if err := logAnchor.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range logAnchor.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (logAnchor *LogAnchor) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorAlreadySucceeded"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorAlreadySucceededError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorConflictingRoot"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorConflictingRootError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorFrozen"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorFrozenError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorGrowthExceeded"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorGrowthExceededError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorInconsistent"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorInconsistentError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorInvalidGuardian"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorInvalidGuardianError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorInvalidHeadKey"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorInvalidHeadKeyError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorInvalidMaxGrowth"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorInvalidMaxGrowthError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorInvalidOrigin"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorInvalidOriginError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorInvalidSignature"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorInvalidSignatureError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorLogExists"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorLogExistsError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorNoProposal"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorNoProposalError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorNotFrozen"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorNotFrozenError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorRotationNotReady"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorRotationNotReadyError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorSha256Unavailable"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorSha256UnavailableError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorStaleSize"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorStaleSizeError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorUnauthorized"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorUnauthorizedError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["LogAnchorUnknownLog"].ID.Bytes()[:4]) {
		return logAnchor.UnpackLogAnchorUnknownLogError(raw[4:])
	}
	if bytes.Equal(raw[:4], logAnchor.abi.Errors["RFC9162HashFailed"].ID.Bytes()[:4]) {
		return logAnchor.UnpackRFC9162HashFailedError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// LogAnchorLogAnchorAlreadySucceeded represents a LogAnchorAlreadySucceeded error raised by the LogAnchor contract.
type LogAnchorLogAnchorAlreadySucceeded struct {
	LogId       [32]byte
	SuccessorId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorAlreadySucceeded(bytes32 logId, bytes32 successorId)
func LogAnchorLogAnchorAlreadySucceededErrorID() common.Hash {
	return common.HexToHash("0x957db18880ad348ef6a1c795013e761185dcc326dbf12e8bac600d0edea3b624")
}

// UnpackLogAnchorAlreadySucceededError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorAlreadySucceeded(bytes32 logId, bytes32 successorId)
func (logAnchor *LogAnchor) UnpackLogAnchorAlreadySucceededError(raw []byte) (*LogAnchorLogAnchorAlreadySucceeded, error) {
	out := new(LogAnchorLogAnchorAlreadySucceeded)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorAlreadySucceeded", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorConflictingRoot represents a LogAnchorConflictingRoot error raised by the LogAnchor contract.
type LogAnchorLogAnchorConflictingRoot struct {
	LogId       [32]byte
	Size        uint64
	CurrentRoot [32]byte
	Root        [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorConflictingRoot(bytes32 logId, uint64 size, bytes32 currentRoot, bytes32 root)
func LogAnchorLogAnchorConflictingRootErrorID() common.Hash {
	return common.HexToHash("0xfc98a1af24bcfcf5dc5f294859ef9b8f046bf448d1c8cb5ff6d4ad272910ed83")
}

// UnpackLogAnchorConflictingRootError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorConflictingRoot(bytes32 logId, uint64 size, bytes32 currentRoot, bytes32 root)
func (logAnchor *LogAnchor) UnpackLogAnchorConflictingRootError(raw []byte) (*LogAnchorLogAnchorConflictingRoot, error) {
	out := new(LogAnchorLogAnchorConflictingRoot)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorConflictingRoot", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorFrozen represents a LogAnchorFrozen error raised by the LogAnchor contract.
type LogAnchorLogAnchorFrozen struct {
	LogId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorFrozen(bytes32 logId)
func LogAnchorLogAnchorFrozenErrorID() common.Hash {
	return common.HexToHash("0x4ace4d9b9a22d4bd813c452f74e92d1760300c333d82907f3117798ebae6cad7")
}

// UnpackLogAnchorFrozenError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorFrozen(bytes32 logId)
func (logAnchor *LogAnchor) UnpackLogAnchorFrozenError(raw []byte) (*LogAnchorLogAnchorFrozen, error) {
	out := new(LogAnchorLogAnchorFrozen)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorFrozen", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorGrowthExceeded represents a LogAnchorGrowthExceeded error raised by the LogAnchor contract.
type LogAnchorLogAnchorGrowthExceeded struct {
	LogId       [32]byte
	CurrentSize uint64
	Size        uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorGrowthExceeded(bytes32 logId, uint64 currentSize, uint64 size)
func LogAnchorLogAnchorGrowthExceededErrorID() common.Hash {
	return common.HexToHash("0x38b12b73bb8fc69b3cf8702a92744d85fef38c147ca3f64c7f4279da959d95a6")
}

// UnpackLogAnchorGrowthExceededError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorGrowthExceeded(bytes32 logId, uint64 currentSize, uint64 size)
func (logAnchor *LogAnchor) UnpackLogAnchorGrowthExceededError(raw []byte) (*LogAnchorLogAnchorGrowthExceeded, error) {
	out := new(LogAnchorLogAnchorGrowthExceeded)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorGrowthExceeded", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorInconsistent represents a LogAnchorInconsistent error raised by the LogAnchor contract.
type LogAnchorLogAnchorInconsistent struct {
	LogId      [32]byte
	FirstSize  uint64
	SecondSize uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorInconsistent(bytes32 logId, uint64 firstSize, uint64 secondSize)
func LogAnchorLogAnchorInconsistentErrorID() common.Hash {
	return common.HexToHash("0x7e21fb5812f01a6044f0463fb17022826e48866c88885fc5146d887372d17c0e")
}

// UnpackLogAnchorInconsistentError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorInconsistent(bytes32 logId, uint64 firstSize, uint64 secondSize)
func (logAnchor *LogAnchor) UnpackLogAnchorInconsistentError(raw []byte) (*LogAnchorLogAnchorInconsistent, error) {
	out := new(LogAnchorLogAnchorInconsistent)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorInconsistent", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorInvalidGuardian represents a LogAnchorInvalidGuardian error raised by the LogAnchor contract.
type LogAnchorLogAnchorInvalidGuardian struct {
	Guardian common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorInvalidGuardian(address guardian)
func LogAnchorLogAnchorInvalidGuardianErrorID() common.Hash {
	return common.HexToHash("0x64e906aa9d19d2af3154dd1e5c7102a3e26a3374546a691f71c2a5684cac32bb")
}

// UnpackLogAnchorInvalidGuardianError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorInvalidGuardian(address guardian)
func (logAnchor *LogAnchor) UnpackLogAnchorInvalidGuardianError(raw []byte) (*LogAnchorLogAnchorInvalidGuardian, error) {
	out := new(LogAnchorLogAnchorInvalidGuardian)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorInvalidGuardian", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorInvalidHeadKey represents a LogAnchorInvalidHeadKey error raised by the LogAnchor contract.
type LogAnchorLogAnchorInvalidHeadKey struct {
	HeadKey common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorInvalidHeadKey(address headKey)
func LogAnchorLogAnchorInvalidHeadKeyErrorID() common.Hash {
	return common.HexToHash("0x7dca6798807ab9e95e0f9075b4e4026a218b934be6f7f9458247d09318a6c25c")
}

// UnpackLogAnchorInvalidHeadKeyError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorInvalidHeadKey(address headKey)
func (logAnchor *LogAnchor) UnpackLogAnchorInvalidHeadKeyError(raw []byte) (*LogAnchorLogAnchorInvalidHeadKey, error) {
	out := new(LogAnchorLogAnchorInvalidHeadKey)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorInvalidHeadKey", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorInvalidMaxGrowth represents a LogAnchorInvalidMaxGrowth error raised by the LogAnchor contract.
type LogAnchorLogAnchorInvalidMaxGrowth struct {
	MaxGrowth uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorInvalidMaxGrowth(uint64 maxGrowth)
func LogAnchorLogAnchorInvalidMaxGrowthErrorID() common.Hash {
	return common.HexToHash("0x6edd1fc4d7e53c8925e48acd7e960758117ddc379cbf05b32bfcd0eaffb73b6d")
}

// UnpackLogAnchorInvalidMaxGrowthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorInvalidMaxGrowth(uint64 maxGrowth)
func (logAnchor *LogAnchor) UnpackLogAnchorInvalidMaxGrowthError(raw []byte) (*LogAnchorLogAnchorInvalidMaxGrowth, error) {
	out := new(LogAnchorLogAnchorInvalidMaxGrowth)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorInvalidMaxGrowth", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorInvalidOrigin represents a LogAnchorInvalidOrigin error raised by the LogAnchor contract.
type LogAnchorLogAnchorInvalidOrigin struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorInvalidOrigin()
func LogAnchorLogAnchorInvalidOriginErrorID() common.Hash {
	return common.HexToHash("0x85c7b79e98cf62b3135f1cd9b2982f156e600ec953912e719e09e5318275b0ad")
}

// UnpackLogAnchorInvalidOriginError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorInvalidOrigin()
func (logAnchor *LogAnchor) UnpackLogAnchorInvalidOriginError(raw []byte) (*LogAnchorLogAnchorInvalidOrigin, error) {
	out := new(LogAnchorLogAnchorInvalidOrigin)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorInvalidOrigin", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorInvalidSignature represents a LogAnchorInvalidSignature error raised by the LogAnchor contract.
type LogAnchorLogAnchorInvalidSignature struct {
	LogId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorInvalidSignature(bytes32 logId)
func LogAnchorLogAnchorInvalidSignatureErrorID() common.Hash {
	return common.HexToHash("0x12cc5d8932d102eb547c6f5dd1ff6a203b672f58268171733accbccfcaba3afb")
}

// UnpackLogAnchorInvalidSignatureError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorInvalidSignature(bytes32 logId)
func (logAnchor *LogAnchor) UnpackLogAnchorInvalidSignatureError(raw []byte) (*LogAnchorLogAnchorInvalidSignature, error) {
	out := new(LogAnchorLogAnchorInvalidSignature)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorInvalidSignature", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorLogExists represents a LogAnchorLogExists error raised by the LogAnchor contract.
type LogAnchorLogAnchorLogExists struct {
	LogId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorLogExists(bytes32 logId)
func LogAnchorLogAnchorLogExistsErrorID() common.Hash {
	return common.HexToHash("0x116f59506d4f7debd0aa77e71b9fd01226e6e7ed96b20b36fb072cc03c1d8f74")
}

// UnpackLogAnchorLogExistsError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorLogExists(bytes32 logId)
func (logAnchor *LogAnchor) UnpackLogAnchorLogExistsError(raw []byte) (*LogAnchorLogAnchorLogExists, error) {
	out := new(LogAnchorLogAnchorLogExists)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorLogExists", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorNoProposal represents a LogAnchorNoProposal error raised by the LogAnchor contract.
type LogAnchorLogAnchorNoProposal struct {
	LogId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorNoProposal(bytes32 logId)
func LogAnchorLogAnchorNoProposalErrorID() common.Hash {
	return common.HexToHash("0xc337a0ff4229f52cdd4ac38cf543cec8490660e1aed5b726f6b2157bd13948bb")
}

// UnpackLogAnchorNoProposalError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorNoProposal(bytes32 logId)
func (logAnchor *LogAnchor) UnpackLogAnchorNoProposalError(raw []byte) (*LogAnchorLogAnchorNoProposal, error) {
	out := new(LogAnchorLogAnchorNoProposal)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorNoProposal", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorNotFrozen represents a LogAnchorNotFrozen error raised by the LogAnchor contract.
type LogAnchorLogAnchorNotFrozen struct {
	LogId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorNotFrozen(bytes32 logId)
func LogAnchorLogAnchorNotFrozenErrorID() common.Hash {
	return common.HexToHash("0xe6d7e5fc11a45a5ead8fe2e60411f694fdc4c8a8753aaaad7f116cdaf05d453c")
}

// UnpackLogAnchorNotFrozenError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorNotFrozen(bytes32 logId)
func (logAnchor *LogAnchor) UnpackLogAnchorNotFrozenError(raw []byte) (*LogAnchorLogAnchorNotFrozen, error) {
	out := new(LogAnchorLogAnchorNotFrozen)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorNotFrozen", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorRotationNotReady represents a LogAnchorRotationNotReady error raised by the LogAnchor contract.
type LogAnchorLogAnchorRotationNotReady struct {
	LogId   [32]byte
	ReadyAt uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorRotationNotReady(bytes32 logId, uint64 readyAt)
func LogAnchorLogAnchorRotationNotReadyErrorID() common.Hash {
	return common.HexToHash("0xc124138dcddcbb904a68e3c44a560bf3b227543c8e3a3ecc3fbeb1576c74afe4")
}

// UnpackLogAnchorRotationNotReadyError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorRotationNotReady(bytes32 logId, uint64 readyAt)
func (logAnchor *LogAnchor) UnpackLogAnchorRotationNotReadyError(raw []byte) (*LogAnchorLogAnchorRotationNotReady, error) {
	out := new(LogAnchorLogAnchorRotationNotReady)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorRotationNotReady", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorSha256Unavailable represents a LogAnchorSha256Unavailable error raised by the LogAnchor contract.
type LogAnchorLogAnchorSha256Unavailable struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorSha256Unavailable()
func LogAnchorLogAnchorSha256UnavailableErrorID() common.Hash {
	return common.HexToHash("0xaa2b03bbf43e70d208ce178a463e5958ffaf521bca87e0556e43f8eab6783157")
}

// UnpackLogAnchorSha256UnavailableError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorSha256Unavailable()
func (logAnchor *LogAnchor) UnpackLogAnchorSha256UnavailableError(raw []byte) (*LogAnchorLogAnchorSha256Unavailable, error) {
	out := new(LogAnchorLogAnchorSha256Unavailable)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorSha256Unavailable", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorStaleSize represents a LogAnchorStaleSize error raised by the LogAnchor contract.
type LogAnchorLogAnchorStaleSize struct {
	LogId       [32]byte
	CurrentSize uint64
	Size        uint64
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorStaleSize(bytes32 logId, uint64 currentSize, uint64 size)
func LogAnchorLogAnchorStaleSizeErrorID() common.Hash {
	return common.HexToHash("0x1dd740f069d7e2f95c9eed8c3186496d0ac7b626293f2463da9e0a6db2448f3d")
}

// UnpackLogAnchorStaleSizeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorStaleSize(bytes32 logId, uint64 currentSize, uint64 size)
func (logAnchor *LogAnchor) UnpackLogAnchorStaleSizeError(raw []byte) (*LogAnchorLogAnchorStaleSize, error) {
	out := new(LogAnchorLogAnchorStaleSize)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorStaleSize", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorUnauthorized represents a LogAnchorUnauthorized error raised by the LogAnchor contract.
type LogAnchorLogAnchorUnauthorized struct {
	LogId   [32]byte
	Account common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorUnauthorized(bytes32 logId, address account)
func LogAnchorLogAnchorUnauthorizedErrorID() common.Hash {
	return common.HexToHash("0x1bdda4c77efaa12c116030de9536a7983365d2f45708dee01b0a0695334c3b9d")
}

// UnpackLogAnchorUnauthorizedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorUnauthorized(bytes32 logId, address account)
func (logAnchor *LogAnchor) UnpackLogAnchorUnauthorizedError(raw []byte) (*LogAnchorLogAnchorUnauthorized, error) {
	out := new(LogAnchorLogAnchorUnauthorized)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorUnauthorized", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorLogAnchorUnknownLog represents a LogAnchorUnknownLog error raised by the LogAnchor contract.
type LogAnchorLogAnchorUnknownLog struct {
	LogId [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error LogAnchorUnknownLog(bytes32 logId)
func LogAnchorLogAnchorUnknownLogErrorID() common.Hash {
	return common.HexToHash("0xf9b30bd5bda29cd592ba863d912ab7d6a59877fab08d06a6168e821ac1f29739")
}

// UnpackLogAnchorUnknownLogError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error LogAnchorUnknownLog(bytes32 logId)
func (logAnchor *LogAnchor) UnpackLogAnchorUnknownLogError(raw []byte) (*LogAnchorLogAnchorUnknownLog, error) {
	out := new(LogAnchorLogAnchorUnknownLog)
	if err := logAnchor.abi.UnpackIntoInterface(out, "LogAnchorUnknownLog", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// LogAnchorRFC9162HashFailed represents a RFC9162HashFailed error raised by the LogAnchor contract.
type LogAnchorRFC9162HashFailed struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error RFC9162HashFailed()
func LogAnchorRFC9162HashFailedErrorID() common.Hash {
	return common.HexToHash("0x896dfa4a9d20ec162e59c27745c3b7bdd6a973b809d877ee794bac2664ac9b6e")
}

// UnpackRFC9162HashFailedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error RFC9162HashFailed()
func (logAnchor *LogAnchor) UnpackRFC9162HashFailedError(raw []byte) (*LogAnchorRFC9162HashFailed, error) {
	out := new(LogAnchorRFC9162HashFailed)
	if err := logAnchor.abi.UnpackIntoInterface(out, "RFC9162HashFailed", raw); err != nil {
		return nil, err
	}
	return out, nil
}
