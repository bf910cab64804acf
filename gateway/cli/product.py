"""Everything that commands use and that takes long to import; see `opening.py`."""

from dataclasses import asdict as asdict

from uvicorn import Server as Server

from gateway.admin.models import select_model as select_model
from gateway.app import create_app as create_app
from gateway.app import server_config as server_config
from gateway.audit.schemas import AuditEntries as AuditEntries
from gateway.audit.schemas import AuditEntry as AuditEntry
from gateway.chat.service import Question as Question
from gateway.doctor import examine as examine
from gateway.evaluation.access import read_access as read_access
from gateway.evaluation.questions import load_questions as load_questions
from gateway.evaluation.run import Plan as Plan
from gateway.evaluation.run import evaluate as evaluate
from gateway.installation import accept_loss as accept_loss
from gateway.installation import create_home as create_home
from gateway.installation import make_missing_parts as make_missing_parts
from gateway.policy.ordinary import shown_to_ordinary_readers as shown_to_ordinary_readers
from gateway.policy.reports import list_oversharing as list_oversharing
from gateway.policy.reports import simulate_bundle as simulate_bundle
from gateway.services import Services as Services
from models.fetching import pull as pull
from policies.audit.checkpoints import SignedCheckpoint as SignedCheckpoint
from policies.audit.checkpoints import last_exported as last_exported
from policies.audit.copying import copy_trail as copy_trail
from policies.audit.events import MasterKeyRotated as MasterKeyRotated
from policies.audit.events import ModelPulled as ModelPulled
from policies.audit.events import TrailRead as TrailRead
from policies.audit.formats import record as record
from policies.audit.places import prepare as prepare
from policies.audit.proofs import evidence as evidence
from policies.audit.reader import Entry as Entry
from policies.audit.reader import EntryQuery as EntryQuery
from policies.audit.reader import read_entries as read_entries
from policies.audit.reader import read_on as read_on
from policies.audit.rotation import rotate_signing_key as rotate_signing_key
from policies.audit.verifier import VerificationReport as VerificationReport
from policies.audit.verifier import verify as verify
from policies.keys import public_keys as public_keys
from policies.keys import rotate_master as rotate_master
from policies.redaction.placeholders import Pseudonyms as Pseudonyms
from policies.signing import FileSigner as FileSigner
from policies.signing_socket import Notary as Notary
from policies.signing_socket import serve_signatures as serve_signatures
