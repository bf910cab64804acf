"""Which entries are kept for how long together: every kind of event is in one class."""

from enum import StrEnum

from policies.audit import events

FEWEST_DAYS = 183
"""Six months: what Article 19 of the EU's AI Act asks of logs. Fewer days must be allowed in so many words."""


class EntryClass(StrEnum):
    """What an entry is about, as far as how long it is kept."""

    ACCESS = "access"
    """Signing in, refusals, and who looked into what."""
    ADMINISTRATION = "administration"
    """Users, keys, sources, documents, models, policies."""
    QUESTIONS = "questions"
    """Questions and searches, what was found for them, and what was answered."""
    TRAIL = "trail"
    """What happened to the trail itself. These are never removed: the rest is read by them."""


CLASSES: dict[EntryClass, tuple[type[events.Event], ...]] = {
    EntryClass.ACCESS: (
        events.AccessDenied,
        events.ConversationRead,
        events.InvestigationClosed,
        events.InvestigationOpened,
        events.OversharingListed,
        events.PolicyExplained,
        events.RevealApproved,
        events.RevealAsked,
        events.RevealOpened,
        events.RevealRefused,
        events.SessionBegun,
        events.SessionEnded,
        events.SignInFailed,
        events.SignInLocked,
        events.SubjectExported,
        events.TrailRead,
        events.UsageRefused,
        events.UsageReported,
    ),
    EntryClass.ADMINISTRATION: (
        events.BackupMade,
        events.DirectoryFailed,
        events.DirectoryRead,
        events.DocumentsChanged,
        events.ExportRestarted,
        events.ExportSent,
        events.GroupNested,
        events.GroupUnnested,
        events.GroupsChanged,
        events.HoldEnded,
        events.HoldPlaced,
        events.IndexRebuilt,
        events.KeyCreated,
        events.KeyRevoked,
        events.LabelsChanged,
        events.LabelsDecided,
        events.ModelEvaluated,
        events.ModelPromoted,
        events.ModelPulled,
        events.ModelRolledBack,
        events.ModelSelected,
        events.ModelVerified,
        events.PasswordChanged,
        events.PolicyChanged,
        events.PolicyRefused,
        events.QuarantineChanged,
        events.ServiceStarted,
        events.ServiceStopped,
        events.SourceAdded,
        events.SourceOwnersChanged,
        events.SourceRemoved,
        events.SyncFailed,
        events.SyncFinished,
        events.SyncStarted,
        events.UserAdded,
        events.UserDisabled,
        events.UserEnabled,
        events.UserLinked,
        events.UserUnlocked,
        events.VectorsDropped,
    ),
    EntryClass.QUESTIONS: (
        events.AnswerFailed,
        events.AnswerGiven,
        events.AnswerUnknown,
        events.EmbeddingsMade,
        events.ModelCompared,
        events.PassagesRetrieved,
        events.PassagesSent,
        events.PersonalDataRevealed,
        events.QuestionAsked,
        events.SearchAsked,
    ),
    EntryClass.TRAIL: (
        events.BackupRestored,
        events.ClockBehind,
        events.ErasureBegun,
        events.HomeCreated,
        events.HomePartsMade,
        events.MasterKeyResealed,
        events.MasterKeyRotated,
        events.SigningKeyRotated,
        events.SubjectErased,
        events.TrailLossAccepted,
        events.TrailReduced,
    ),
}
"""Each event in its class; a test demands that none is left out."""
