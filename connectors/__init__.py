"""Sources of documents: the contract every connector keeps, and the connectors that come with the product."""

from connectors.contract import Change as Change
from connectors.contract import Checkpoint as Checkpoint
from connectors.contract import Connector as Connector
from connectors.contract import Delete as Delete
from connectors.contract import Part as Part
from connectors.contract import Skip as Skip
from connectors.contract import Upsert as Upsert
from policies.labels import Label as Label
